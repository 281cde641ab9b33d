"""The checks of memory limits, and of shared memory."""

from pathlib import Path

from dataart_mp import ClientConfig
from dataart_mp.cli.doctor.finding import Outcome
from dataart_mp.cli.doctor.memory import check_memory, check_shared_memory, memory_left

CONFIG = ClientConfig("k", flush_num_processes=2)


def groups(root: Path, lines: str, **files: str) -> Path:
    """Create a directory with /proc and /sys of control groups."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(lines)
    for name, text in files.items():
        file = root / "sys/fs/cgroup" / name.replace("__", "/").replace("memory_", "memory.")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def test_the_tightest_limit_of_all_control_groups_is_used(tmp_path: Path) -> None:
    two = groups(
        tmp_path / "two",
        "0::/app/web\n",
        app__memory_max="1000\n",
        app__memory_current="900\n",
        app__web__memory_max="max\n",
        app__web__memory_current="10\n",
        memory_max="5000\n",
        memory_current="1000\n",
    )
    one = groups(
        tmp_path / "one",
        "5:cpu:/\n4:memory:/host/path\n0::/\n",
        memory__memory_limit_in_bytes="3000\n".replace("memory_", "memory."),
        memory__memory_usage_in_bytes="1000\n",
    )
    unlimited = groups(tmp_path / "none", "0::/\n", memory_max="max\n", memory_current="10\n")

    assert memory_left(two) == (1000, 100)
    assert memory_left(one) == (3000, 2000)
    assert memory_left(unlimited) is None
    assert memory_left(tmp_path / "macos") is None


def test_a_buffer_larger_than_the_memory_left_is_a_warning(tmp_path: Path) -> None:
    limit, used = str(512 << 20), str(400 << 20)
    root = groups(tmp_path, "0::/\n", memory_max=limit, memory_current=used)

    finding = check_memory(CONFIG, root)

    assert finding.outcome is Outcome.WARNING
    assert finding.detail.startswith("112 MiB left of 512 MiB")
    assert "lower flush_buffer_size" in finding.remedy
    small = ClientConfig("k", flush_buffer_size=100, flush_num_processes=2)
    assert check_memory(small, root).outcome is Outcome.OK


def test_shared_memory_is_checked_unless_the_buffer_is_in_the_spool(tmp_path: Path) -> None:
    spooled = ClientConfig("k", spool_dir=tmp_path / "spool")

    assert check_shared_memory(CONFIG).outcome is Outcome.OK
    assert check_shared_memory(spooled).outcome is Outcome.SKIPPED
