"""What an ordinary user does in a user namespace is not troubled by what root shares on the same machine."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.netns.gateway import document, laboratory, share

import icshare
from icshare.host import command

pytestmark = pytest.mark.netns

_AS_USER = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]


@pytest.mark.usefixtures("lab_allowed")
@pytest.mark.skipif(Path("/proc/self/uid_map").read_text().split()[:2] != ["0", "0"], reason="we are no true root")
def test_a_user_can_run_the_demo_while_root_shares() -> None:
    """Both dnsmasq have the same arguments, and the user may not even ask which network root's is in."""
    allowed = [*_AS_USER, "unshare", "--user", "--map-root-user", sys.executable, "-c", ""]
    if subprocess.run(allowed, check=False, capture_output=True).returncode != 0:
        pytest.skip("this kernel gives users no namespaces of their own, or they cannot read this checkout")
    environment = command.environment(
        {"PYTHONPATH": str(Path(icshare.__file__).parents[1]), "PYTHONDONTWRITEBYTECODE": "1"}
    )
    with laboratory("beside", privates=1) as lab:
        share(lab, "wan0", "lan0")
        demo = [*_AS_USER, sys.executable, "-m", "icshare.cli.main", "demo"]
        done = subprocess.run(demo, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        assert document(lab, "status")["healthy"]
