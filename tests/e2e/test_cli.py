from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import Nrt, environment

NMNIST = "events/tonic_sample_nmnist.bin"
NET = "nir/cnn_sinabs.nir"


def test_a_published_network_classifies_a_camera_recording_alike_on_both_devices(
    nrt: Nrt, data: Path
) -> None:
    reports = {}
    for device in ("cpu:", "reference:"):
        done = nrt("run", data / NET, "--from", data / NMNIST, "--on", device, "--dt", "1ms", "--json")
        assert done.returncode == 0, done.stderr
        reports[device] = json.loads(done.stdout)
    assert reports["cpu:"]["winner"] == reports["reference:"]["winner"] == 4
    for key in ("spikes", "synops", "events", "steps"):
        assert reports["cpu:"]["counters"][key] == reports["reference:"]["counters"][key]
    assert reports["cpu:"]["counts"] == reports["reference:"]["counts"]


def test_a_run_for_people_ends_with_the_class(nrt: Nrt, data: Path) -> None:
    done = nrt("run", data / NET, "--from", data / NMNIST, "--dt", "1ms")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("class 4 with ")
    assert "latency (read)" in done.stdout


def test_output_spikes_and_report_are_written_and_read_back(nrt: Nrt, data: Path, tmp_path: Path) -> None:
    spikes, report = tmp_path / "out.h5", tmp_path / "report.json"
    done = nrt("run", data / NET, "--from", data / NMNIST, "--spikes", spikes, "--report", report)
    assert done.returncode == 0, done.stderr
    written = json.loads(report.read_text())
    info = json.loads(nrt("info", spikes, "--json").stdout)
    assert info["spikes"] == sum(written["counts"]["12"])


def test_a_folder_is_a_table_of_classes(nrt: Nrt, data: Path, tmp_path: Path) -> None:
    for name in ("a.bin", "b.bin"):
        shutil.copy(data / NMNIST, tmp_path / name)
    (tmp_path / "notes.txt").write_bytes(b"\x00not a recording")
    done = nrt("run", data / NET, "--from", tmp_path, "--jobs", "2", "--json")
    assert done.returncode == 0, done.stderr
    assert [report["winner"] for report in json.loads(done.stdout)] == [4, 4]


def test_a_damaged_recording_is_reported_up_to_the_damage(nrt: Nrt, data: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "cut.dat"
    damaged.write_bytes((data / "events/loris_NCARS_obj_004397_td.dat").read_bytes()[:-3])
    done = nrt("run", data / NET, "--from", damaged, "--encode", "pool=2", "--json")
    assert done.returncode == 1
    assert "nrt: " in done.stderr
    assert "byte" in done.stderr
    assert json.loads(done.stdout)["events"] == 4406


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("run", "nothing.nir", "--from", "x.raw"), 1, "nothing.nir"),
        (("run", "NET", "--from", "x.raw"), 1, "cannot read"),
        (("run", "NET", "--from", "REC", "--on", "tpu:"), 1, "there is cpu:"),
        (("run", "NET", "--from", "REC", "--dt", "1"), 1, "a number and a unit"),
        (("run", "NET", "--from", "REC", "--like", "brian"), 1, "snntorch"),
        (("run", "NET", "--from", "REC", "--set", "reset=never"), 1, "reset"),
        (("run", "NET", "--from", "REC", "--encode", "zoom=2"), 1, "there is values"),
        (("run", "REC", "--from", "REC"), 1, "tonic_sample_nmnist.bin"),
        (("run", "NET", "--from", "BIG"), 1, "640x480 pixels and the network sees 34x34"),
        (("run", "NET"), 2, "--from"),
        (("info", "NET", "--digest"), 1, "is a network"),
        (("fly",), 2, "No such command"),
    ],
)
def test_a_mistake_is_one_sentence_and_an_exit_code(
    nrt: Nrt, data: Path, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    names = {"NET": data / NET, "REC": data / NMNIST, "BIG": data / "events/faery_evt2.raw"}
    done = nrt(*(names.get(a, a) for a in arguments))
    assert done.returncode == code
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    if code == 1:
        assert done.stderr.startswith("nrt: ")
        assert len(done.stderr.strip().splitlines()) == 1


def test_the_digest_has_exactly_the_keys_of_the_golden_file(nrt: Nrt, data: Path) -> None:
    golden = json.loads((data / "events/golden.json").read_text())["faery_evt2.raw"]
    done = json.loads(nrt("info", "--digest", "--json", data / "events/faery_evt2.raw").stdout)
    assert done["events"] == golden["events"]
    assert {key: golden[key] for key in done} == done


def test_devices_lists_devices_sources_and_formats(nrt: Nrt) -> None:
    listed = json.loads(nrt("devices", "--json").stdout)
    status = {row["scheme"]: row["status"] for row in listed["devices"]}
    for scheme in ("cpu:", "reference:", "null:", "loihi2:"):
        assert status[scheme] == "ready"  # the others need hardware or an extra
    assert "evt3" in listed["formats"]


def test_ctrl_c_ends_a_run_with_its_report(data: Path) -> None:
    source = f"{data / NMNIST}?speed=0.01"
    command = [sys.executable, "-m", "nrt", "run", str(data / NET), "--from", source, "--json"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    assert process.stderr is not None
    process.stderr.readline()  # the placement: the run begins
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    report = json.loads(out)
    assert report["error"] == "stopped by the user"
    assert 0 < report["events"] < 4325


def test_a_batch_on_the_gpu_simulator_is_a_table_of_the_same_classes(
    nrt: Nrt, data: Path, tmp_path: Path
) -> None:
    for name in ("a.bin", "b.bin", "c.bin"):
        shutil.copy(data / NMNIST, tmp_path / name)
    done = nrt(
        "run", data / NET, "--from", tmp_path, "--on", "torch:cpu", "--batch", "2", "--dt", "1ms", "--json"
    )
    assert done.returncode == 0, done.stderr
    assert [report["winner"] for report in json.loads(done.stdout)] == [4, 4, 4]


def test_a_dry_run_says_where_a_network_would_go_and_what_rounding_costs(nrt: Nrt, data: Path) -> None:
    done = nrt("deploy", "--dry-run", data / NET, "--on", "speck+emu:", "--json")
    assert done.returncode == 0, done.stderr
    placement = json.loads(done.stdout)
    assert placement["dry_run"] is True
    layers = {row["layer"]: row for row in placement["rows"]}
    cores = [layers[name]["where"] for name in ("1", "3", "6", "10", "12")]
    assert len(set(cores)) == 5
    assert "kernel memory 100%" in layers["10"]["note"]  # 4x4 of 8 to 256: the 32 Ki words of one core
    assert "rms" in layers["1"]["note"]


def test_a_network_that_does_not_fit_is_refused_with_every_limit_and_a_way_out(nrt: Nrt, data: Path) -> None:
    done = nrt("deploy", "--dry-run", data / NET, "--on", "tinyodin+emu:")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "the network does not fit" in done.stderr
    assert "needs 11,282, the device has 256" in done.stderr  # 2312 + 4096 + 4096 + 512 + 256 + 10
    assert "pool or crop the input" in done.stderr


def test_a_network_is_deployed(nrt: Nrt, data: Path) -> None:
    done = nrt("deploy", data / "nir/lif_norse.nir", "--on", "reference:", "--dt", "100us")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("lif_norse on reference:")
