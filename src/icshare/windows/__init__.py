"""Programs written for Windows, run unchanged: COM as pywin32 and comtypes bind it, and what else they ask Windows for.

``icshare run-windows PROGRAM`` starts ``python -m icshare.windows PROGRAM``, a fresh interpreter in which ``win32com``,
``pythoncom``, ``comtypes``, ``winreg``, ``wmi`` and their relatives can be imported. Nobody else gets to see them: they
are found by a finder in that one process.

::

      the program     win32com.client         win32com.client.gencache      comtypes.client
                             │                          │                          │
      the binding     latebound.CDispatch       makepy.DispatchBaseClass    pointers.Pointer     differ as on Windows
                             └──────────────────────────┼──────────────────────────┘
      COM                                  objects.ComObject, by the tables in members
                                                        │
      the objects                       icshare.netcon, natupnp → SharingManager

The tables say for each interface which members there are, which of them take arguments, and what they return. A binding
is made of the tables: it has no knowledge of a single member.
"""
