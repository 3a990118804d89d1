"""Programs written for Windows, run in an interpreter of their own on a machine in memory."""

import signal
import sys
from pathlib import Path

import pytest
from tests.unit.windows.machine import PROGRAMS, ROOT, start

from icshare.host import command
from icshare.windows import view
from icshare.windows.objects import Apartments
from icshare.windows.view import views

STYLES = ("late", "makepy", "comtypes")

PUBLIC, PRIVATE, OTHER = (f"{{AB000000-0000-0000-0000-00000000000{number}}}" for number in (1, 2, 3))


def _lines(
    task: str, style: str, *arguments: str, status: int = 0, shared: bool = False, forbidden: bool = False
) -> list[str]:
    ran = start(PROGRAMS / f"{task}_{style}.py", *arguments, shared=shared, forbidden=forbidden)
    assert (ran.stderr, ran.returncode) == ("", status)
    return ran.stdout.splitlines()


@pytest.mark.parametrize("style", STYLES)
def test_list_connections(style: str) -> None:
    lines = _lines("list_connections", style)
    assert lines[:2] == ["9 connections", f"{PUBLIC}|Ethernet|device of eth0|2|3|0x8"]


@pytest.mark.parametrize("style", STYLES)
def test_check_sharable(style: str) -> None:
    lines = _lines("check_sharable", style)
    assert [line.rpartition(": ")[0] for line in lines if line.endswith("not sharable")] == ["Ethernet 5", "Ethernet 9"]
    assert "Wi-Fi: sharable" in lines


@pytest.mark.parametrize("style", STYLES)
def test_enable_sharing(style: str) -> None:
    lines = _lines("enable_sharing", style, "Wi-Fi", "ethernet 3", shared=True)
    assert lines == ["{AB000000-0000-0000-0000-000000000004} True 0 True", f"{OTHER} True 1 False"]


@pytest.mark.parametrize("style", STYLES)
def test_enable_sharing_puts_back_what_was_shared(style: str) -> None:
    lines = _lines("enable_sharing", style, "Ethernet 3", "Ethernet 6", status=1, shared=True)
    assert lines == ["failed: 0x80070057", "restored: True"]


@pytest.mark.parametrize("style", STYLES)
def test_disable_sharing(style: str) -> None:
    lines = _lines("disable_sharing", style, shared=True)
    assert lines == ["disabled: Ethernet", "disabled: Ethernet 2", "still shared: 0"]


@pytest.mark.parametrize("style", STYLES)
def test_port_mappings(style: str) -> None:
    assert _lines("port_mappings", style, "192.168.137.20", "printer", shared=True) == [
        "new: Ping False",
        "new: High False",
        "new: Named False",
        "Ping|6|555|444|192.168.137.20|True",
        "High|17|40000|40001|192.168.137.20|True",
        "Named|6|8080|80|printer|True",
        "deleted: 555 True",
        "deleted: 40000 True",
        "deleted: 8080 True",
        "left: 0",
    ]


@pytest.mark.parametrize("style", STYLES)
def test_enable_firewall(style: str) -> None:
    lines = _lines("enable_firewall", style, shared=True)
    assert lines == [
        "Ethernet: True",
        "Ethernet 2: 0x80070057",  # private
        "Ethernet 3: True",
        "Wi-Fi: True",
        "Ethernet 5: 0x80070057",  # a bridge
        "Ethernet 6: 0x80070057",  # a member of it
        "Ethernet 7: 0x80070057",  # a cable
        "Ethernet 9: 0x80004002",  # it cannot be shared at all
        "Ethernet 10: True",
    ]


@pytest.mark.parametrize("style", STYLES)
def test_without_privilege_programs_are_refused(style: str) -> None:
    lines = _lines("enable_firewall", style, forbidden=True)
    assert lines[0] == "Ethernet: 0x80070005"


def _program(directory: Path, text: str, name: str = "program.py") -> Path:
    path = directory / name
    path.write_text(text, encoding="utf-8")
    return path


def test_an_uncaught_error_is_shown_from_the_program_on(tmp_path: Path) -> None:
    program = _program(tmp_path, "import win32com.client\nwin32com.client.Dispatch('No.Such')\n")
    ran = start(program)
    assert ran.returncode == 1
    assert ran.stderr.splitlines() == [
        "Traceback (most recent call last):",
        f'  File "{program}", line 2, in <module>',
        "    win32com.client.Dispatch('No.Such')",
        "pywintypes.com_error: (-2147221005, 'Invalid class string', None, None)",
    ]


def test_a_syntax_error_is_shown_without_traceback(tmp_path: Path) -> None:
    ran = start(_program(tmp_path, "import win32com.client as\n"))
    assert ran.returncode == 1
    assert ran.stderr.startswith('  File "')
    assert ran.stderr.endswith("SyntaxError: invalid syntax\n")


def test_the_exit_status_is_the_programs(tmp_path: Path) -> None:
    assert start(_program(tmp_path, "import sys\nsys.exit(int(sys.argv[1]))\n"), "7").returncode == 7


def test_the_program_sees_windows_and_the_library_does_not(tmp_path: Path) -> None:
    _program(tmp_path, "import sys, platform\nSEEN = sys.platform, platform.system()\n", "helper.py")
    program = _program(
        tmp_path,
        "import ctypes, os, platform, sys\n"
        "from sys import platform as name\n"
        "from ctypes import wintypes\n"
        "from _ctypes import COMError\n"
        "import helper\n"
        "import asyncio, mimetypes, subprocess, tempfile, webbrowser\n"
        "mimetypes.init()\n"
        "print(sys.platform, name, os.name, platform.system(), platform.release(), sys.getwindowsversion().major)\n"
        "print(helper.SEEN, ctypes.windll.shell32.IsUserAnAdmin() in (0, 1), os.path.sep)\n"
        "print(sys.modules['sys'].platform, __name__, sys.argv[1:], sys.path[0] == os.path.dirname(__file__))\n",
    )
    ran = start(program, "-x", "y")
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == [
        "win32 win32 nt Windows 10 10",
        "('win32', 'Windows') True /",
        "linux __main__ ['-x', 'y'] True",
    ]


def test_all_names_of_a_module_are_those_that_the_program_sees(tmp_path: Path) -> None:
    program = _program(
        tmp_path,
        "from ctypes import *\nfrom os import *\nfrom platform import *\n"
        "print(windll.shell32.IsUserAnAdmin() in (0, 1), sizeof(c_byte), name, system(), getcwd() != '')\n"
        "from sys import *\nprint(platform)\n",
    )
    ran = start(program)
    assert (ran.stdout, ran.stderr) == ("True 1 nt Windows True\nwin32\n", "")


def test_threads_use_com_after_they_have_said_so(tmp_path: Path) -> None:
    program = _program(
        tmp_path,
        "import ctypes, threading, pythoncom, win32com.client\n"
        "manager = win32com.client.Dispatch('HNetCfg.HNetShare')\n"
        "def work():\n"
        "    try:\n"
        "        win32com.client.Dispatch('HNetCfg.HNetShare')\n"
        "    except pythoncom.com_error as error:\n"
        "        print(error.hresult)\n"
        "    ctypes.windll.ole32.CoInitialize(None)\n"
        "    mine = win32com.client.Dispatch('HNetCfg.HNetShare')\n"
        "    print(len(mine.EnumEveryConnection), len(manager.EnumEveryConnection))\n"
        "    del mine\n"
        "    pythoncom.CoUninitialize()\n"
        "thread = threading.Thread(target=work)\n"
        "thread.start()\n"
        "thread.join()\n"
        "pythoncom.CoUninitialize()\n"
        "print(manager.SharingInstalled)\n",
    )
    ran = start(program)
    assert (ran.stdout.splitlines(), ran.stderr) == (["-2147221008", "9 9", "True"], "")


def test_its_own_modules_go_before_those_of_windows(tmp_path: Path) -> None:
    _program(tmp_path, "WHOSE = 'mine'\n", "wmi.py")
    ran = start(_program(tmp_path, "import wmi, pythoncom\nprint(wmi.WHOSE, pythoncom.__name__)\n"))
    assert ran.stdout == "mine pythoncom\n"


def test_what_is_no_program_is_one_error(tmp_path: Path) -> None:
    for path, said in ((tmp_path / "none.py", "there is no program"), (tmp_path, "there is no __main__.py")):
        argv = [sys.executable, "-m", "icshare.windows", str(path)]
        ran = command.run(argv, env={"PYTHONPATH": str(ROOT / "src")}, timeout=60, check=False)
        assert (ran.stdout, ran.returncode) == ("", 2)
        assert ran.stderr.startswith(f"icshare: {said}")
        assert "Traceback" not in ran.stderr


def test_a_directory_runs_as_by_its_name_and_a_package_as_by_python_m(tmp_path: Path) -> None:
    for place, how in ((tmp_path / "plain", "import util"), (tmp_path / "package", "from . import util")):
        (place / "below").mkdir(parents=True)
        _program(place, f"import sys\n{how}\nprint(util.SEEN, sys.argv[1:])\n1 / 0\n", "__main__.py")
        _program(place, "import sys\nSEEN = sys.platform\n", "util.py")
    _program(tmp_path / "package", "", "__init__.py")
    _program(tmp_path / "package" / "below", "", "__init__.py")
    _program(tmp_path / "package" / "below", "from ..util import SEEN\n", "deep.py")
    for name in ("plain", "package"):
        ran = start(tmp_path / name, "x")
        assert (ran.stdout, ran.returncode) == ("win32 ['x']\n", 1), ran.stderr
        assert [line.strip() for line in ran.stderr.splitlines()] == [
            "Traceback (most recent call last):",
            f'File "{tmp_path / name / "__main__.py"}", line 4, in <module>',
            "1 / 0",
            "~~^~~",
            "ZeroDivisionError: division by zero",
        ]
    _program(tmp_path / "package", "from .below.deep import SEEN\nprint(SEEN)\n", "__main__.py")
    assert start(tmp_path / "package").stdout == "win32\n"


def test_an_object_that_cannot_be_made_is_shown_where_the_program_wants_it(tmp_path: Path) -> None:
    program = _program(tmp_path, "import comtypes.client\ncomtypes.client.CreateObject('HNetCfg.HNetShare')\n")
    runner = _program(
        tmp_path,
        "import sys\nfrom pathlib import Path\nfrom icshare.windows.launch import run\n"
        "def broken():\n    raise RuntimeError('broken')\n"
        "run(Path(sys.argv[1]), [], broken)\n",
        "runner.py",
    )
    ran = command.run(
        [sys.executable, str(runner), str(program)], env={"PYTHONPATH": str(ROOT / "src")}, timeout=60, check=False
    )
    assert ran.stderr.splitlines()[1] == f'  File "{program}", line 2, in <module>'
    assert ran.stderr.endswith("RuntimeError: broken\n")


@pytest.mark.parametrize("where", ["thread", "cause"])
def test_no_frame_of_ours_is_shown_of_a_thread_nor_of_a_cause(tmp_path: Path, where: str) -> None:
    _program(tmp_path, "def work(manager):\n    manager.Nothing\n", "sibling.py")
    bodies = {
        "thread": "one = threading.Thread(target=sibling.work, args=(manager,))\none.start()\none.join()\n",
        "cause": "try:\n    sibling.work(manager)\nexcept AttributeError as error:\n    raise ValueError from error\n",
    }
    text = "import sibling, threading, win32com.client\nmanager = win32com.client.Dispatch('HNetCfg.HNetShare')\n"
    ran = start(_program(tmp_path, text + bodies[where]))
    assert f'File "{tmp_path / "sibling.py"}", line 2, in work' in ran.stderr
    assert "AttributeError: HNetCfg.HNetShare.Nothing" in ran.stderr
    assert "icshare" not in ran.stderr.replace(str(tmp_path), "")


def test_an_interrupted_call_is_shown_where_the_program_made_it(tmp_path: Path) -> None:
    text = (
        "import os, signal, threading, win32com.client\n"
        "manager = win32com.client.Dispatch('HNetCfg.HNetShare')\n"
        "threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "while True: manager.EnumEveryConnection\n"
    )
    program = _program(tmp_path, text)
    ran = start(program)
    assert ran.returncode == -signal.SIGINT
    assert ran.stderr.splitlines()[0] == "Traceback (most recent call last):"
    assert ran.stderr.count("  File ") == ran.stderr.count(f'  File "{program}", line 4, in <module>') == 1
    assert ran.stderr.endswith("KeyboardInterrupt\n")


def test_before_the_program_begins_an_interrupt_ends_it_without_a_word(tmp_path: Path) -> None:
    program = _program(tmp_path, "print('begun')\n")
    _program(tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n", "msgspec.py")
    argv = [sys.executable, "-m", "icshare.windows", str(program)]
    ran = command.run(argv, env={"PYTHONPATH": f"{tmp_path}:{ROOT / 'src'}"}, timeout=60, check=False)
    assert (ran.stdout, ran.stderr, ran.returncode) == ("", "", -signal.SIGINT)


def test_habits_of_programs_are_met(tmp_path: Path) -> None:
    program = _program(
        tmp_path,
        "import ctypes, multiprocessing, sys, winreg\n"
        "def work(number):\n"
        "    return number, sys.platform\n"
        "if __name__ == '__main__':\n"
        "    multiprocessing.freeze_support()\n"
        "    with multiprocessing.Pool(1) as pool:\n"
        "        print(pool.map(work, [1]))\n"
        "    try:\n"
        "        winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, 'None')\n"
        "    except WindowsError as error:\n"
        "        print(error.winerror, type(error).__name__)\n"
        "    error = ctypes.WinError(5)\n"
        "    print(error.winerror, type(error).__name__, error.strerror, ctypes.FormatError(1000))\n"
        "    print(ctypes.windll.shell32.ShellExecuteW(None, 'open', sys.executable, '', None, 1) <= 32)\n"
        "    sys.exit(3)\n",
    )
    ran = start(program)
    assert (ran.stderr, ran.returncode) == ("", 3)
    assert ran.stdout.splitlines() == [
        "[(1, 'win32')]",
        "2 FileNotFoundError",
        "5 PermissionError Access is denied. error 1000",
        "True",
    ]


def test_who_wants_to_be_started_as_administrator_is_told_to_use_sudo(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    execute = views(Apartments())["ctypes"].windll.shell32.ShellExecuteW
    for allowed, said in (
        (True, ""),
        (False, "icshare: the program asks for administrator rights: run it with sudo\n"),
    ):
        monkeypatch.setattr(view, "may_administrate", lambda allowed=allowed: allowed)
        assert execute(None, "RunAs", "python", "program.py", None, 1) == 5
        assert execute(None, None, "https://example.net", None, None, 1) == 5
        assert capsys.readouterr().err == said
