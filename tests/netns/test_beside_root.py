"""What an ordinary user does in a user namespace is not troubled by what root shares on the same machine."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.netns.gateway import document, laboratory, share

import icshare
from icshare.host import command

pytestmark = pytest.mark.netns

_SOURCE = Path(icshare.__file__).parents[1]
_TESTS = Path(__file__).parents[2]
_AS_USER = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
# As tools/isolate: its processes see root's, unlike those of the demo.
_APART = [*_AS_USER, "unshare", "--user", "--map-root-user", "--net", "--mount"]
_ENTER = 'mount -t tmpfs -o mode=755 tmpfs /run; ip link set lo up; exec "$@"'
_SHARE_AND_STOP = """
from tests.netns.gateway import document, laboratory, share
with laboratory("user", privates=1) as lab:
    share(lab, "wan0", "lan0")
    assert document(lab, "status")["healthy"]
    document(lab, "stop")
"""


@pytest.mark.usefixtures("lab_allowed")
@pytest.mark.skipif(Path("/proc/self/uid_map").read_text().split()[:2] != ["0", "0"], reason="we are no true root")
def test_a_user_can_share_in_a_namespace_of_its_own_while_root_shares() -> None:
    """Both dnsmasq have the same arguments, and the user may not even ask which network root's is in."""
    if subprocess.run([*_APART, sys.executable, "-c", ""], check=False, capture_output=True).returncode != 0:
        pytest.skip("this kernel gives users no namespaces of their own")
    if subprocess.run([*_AS_USER, "ls", str(_SOURCE)], check=False, capture_output=True).returncode != 0:
        pytest.skip("this checkout cannot be read by other users")
    environment = command.environment({"PYTHONPATH": f"{_SOURCE}:{_TESTS}", "PYTHONDONTWRITEBYTECODE": "1"})
    with laboratory("beside", privates=1) as lab:
        share(lab, "wan0", "lan0")
        argv = [*_APART, "sh", "-ec", _ENTER, "sh", sys.executable, "-c", _SHARE_AND_STOP]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert document(lab, "status")["healthy"]
