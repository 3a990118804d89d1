"""``icshare wifi``: the access point of this machine."""

import typer

from icshare.cli.accesspoint import print_passphrase
from icshare.cli.lazy import App
from icshare.cli.options import Json, Verbose
from icshare.cli.output import write_json
from icshare.cli.session import session_of
from icshare.cli.summary import placement_in, security_in

app = App(help="See the Wi-Fi access point of this machine.")


def wifi() -> None:
    """See the Wi-Fi access point of this machine."""


def show(context: typer.Context, json: Json = False, _verbose: Verbose = 0) -> None:
    """Show its name, its passphrase, and a QR code for phones.

    Only root may see that.
    """
    session = session_of(context)
    access_point, passphrase = session.manager.keys.present()
    record = session.manager.record()
    security = security_in(entry.step for entry in (record.entries if record else ()))
    if json:
        from icshare.cli.documents import wifi_document
        from icshare.render.joincode import join_code

        code = join_code(access_point.ssid, passphrase, hidden=access_point.hidden)
        placement = placement_in(record.segments if record else ())
        write_json(session.stdout, wifi_document(access_point, placement, security, passphrase, code))
    else:
        print_passphrase(session.out, access_point, passphrase, security)


app.callback()(wifi)  # without one, typer takes a single command for the whole
app.command("show")(show)
