"""File systems of boards, as their kernels show themselves.

None was captured on a board: they are written from the kernel's documentation (proc(5), Documentation/driver-api/
thermal, admin-guide/pm/cpufreq, hwmon/ina3221, power/powercap, ABI/testing/sysfs-class-power) and from what their
makers' tools print.
"""

from __future__ import annotations

from pathlib import Path

CPU = "sys/devices/system/cpu"


def _stat(cores: int) -> str:
    lines = ["cpu  1000 0 500 80000 100 0 0 0 0 0"]
    return "\n".join([*lines, *(f"cpu{i} 250 0 125 20000 25 0 0 0 0 0" for i in range(cores))]) + "\n"


def _clocks(cores: int, now_khz: int, cap_khz: int) -> dict[str, str]:
    return {
        f"{CPU}/cpu{i}/cpufreq/{name}": f"{khz}\n"
        for i in range(cores)
        for name, khz in (("scaling_cur_freq", now_khz), ("scaling_max_freq", cap_khz))
    }


def _zone(number: int, kind: str, millidegrees: int, **trips: int) -> dict[str, str]:
    zone = f"sys/class/thermal/thermal_zone{number}"
    files = {f"{zone}/type": f"{kind}\n", f"{zone}/temp": f"{millidegrees}\n"}
    for i, (name, at) in enumerate(trips.items()):
        files |= {f"{zone}/trip_point_{i}_type": f"{name}\n", f"{zone}/trip_point_{i}_temp": f"{at}\n"}
    return files


def _memory(total_kb: int, available_kb: int) -> dict[str, str]:
    return {
        "proc/meminfo": f"MemTotal: {total_kb} kB\nMemFree: {available_kb // 2} kB\nMemAvailable: {available_kb} kB\n"
    }


def _common(cores: int, model: str) -> dict[str, str]:
    return {
        "proc/stat": _stat(cores),
        "proc/loadavg": "0.10 0.12 0.09 1/120 4242\n",
        **({"proc/device-tree/model": f"{model}\0"} if model else {}),
    }


THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"
PMIC = """#!/bin/sh
[ "$1" = pmic_read_adc ] || exit 1
cat <<'EOF'
   3V7_WL_SW_A current(0)=0.08979940A
   3V3_SYS_A current(1)=0.06636480A
   1V8_SYS_A current(2)=0.17759640A
  DDR_VDD2_A current(3)=0.01268767A
  VDD_CORE_A current(7)=0.61220000A
   3V7_WL_SW_V volt(8)=3.72147900V
   3V3_SYS_V volt(9)=3.31149400V
   1V8_SYS_V volt(10)=1.80125800V
  DDR_VDD2_V volt(11)=1.10622200V
  VDD_CORE_V volt(15)=0.72031410V
     EXT5V_V volt(24)=5.15464000V
      BATT_V volt(25)=0.00000000V
EOF
"""

PI_ZERO_2_W = {
    **_common(4, "Raspberry Pi Zero 2 W Rev 1.0"),
    **_clocks(4, 600_000, 1_000_000),
    **_zone(0, "cpu-thermal", 51540, critical=110000),
    **_memory(437_000, 250_000),
    THROTTLED: "0\n",
}
PI_4 = {
    **_common(4, "Raspberry Pi 4 Model B Rev 1.4"),
    **_clocks(4, 1_500_000, 1_800_000),
    **_zone(0, "cpu-thermal", 62322, critical=110000),
    **_memory(3_880_000, 3_300_000),
    THROTTLED: "50005\n",  # under-voltage and throttled, now and before
    "sys/class/hwmon/hwmon1/name": "rpi_volt\n",
    "sys/class/hwmon/hwmon1/in0_lcrit_alarm": "1\n",
}
PI_5 = {
    **_common(4, "Raspberry Pi 5 Model B Rev 1.0"),
    **_clocks(4, 2_400_000, 2_400_000),
    **_zone(0, "cpu-thermal", 48750, critical=110000, hot=85000, active=50000),
    **_memory(8_200_000, 7_500_000),
    THROTTLED: "0\n",
    "sys/class/hwmon/hwmon3/name": "rpi_volt\n",
    "sys/class/hwmon/hwmon3/in0_lcrit_alarm": "0\n",
    "usr/bin/vcgencmd": PMIC,
}
ORIN_NANO = {
    **_common(6, "NVIDIA Jetson Orin Nano Developer Kit"),
    **_clocks(6, 729_600, 1_510_400),
    **_zone(0, "cpu-thermal", 47843, passive=99000, critical=104500),
    **_zone(1, "gpu-thermal", 46500, passive=99000, critical=104500),
    **_zone(2, "cv0-thermal", -256000),
    **_zone(8, "tj-thermal", 47968, passive=99000, critical=104500),
    **_memory(7_600_000, 5_000_000),
    "var/lib/nvpmodel/status": "pmode:0000\n",
    "sys/class/hwmon/hwmon1/name": "ina3221\n",
    "sys/class/hwmon/hwmon1/in1_label": "VDD_IN\n",
    "sys/class/hwmon/hwmon1/in1_input": "5080\n",
    "sys/class/hwmon/hwmon1/curr1_input": "960\n",
    "sys/class/hwmon/hwmon1/in2_label": "VDD_CPU_GPU_CV\n",
    "sys/class/hwmon/hwmon1/in2_input": "5080\n",
    "sys/class/hwmon/hwmon1/curr2_input": "120\n",
    "sys/class/hwmon/hwmon1/in3_label": "VDD_SOC\n",
    "sys/class/hwmon/hwmon1/in3_input": "5072\n",
    "sys/class/hwmon/hwmon1/curr3_input": "240\n",
    "sys/class/hwmon/hwmon1/in7_label": "sum of shunt voltages\n",
    "sys/class/hwmon/hwmon1/in7_input": "0\n",
    "sys/class/hwmon/hwmon4/name": "ucsi_source_psy_0_00081\n",
    "sys/class/hwmon/hwmon4/in1_input": "5000\n",
    "sys/class/hwmon/hwmon4/curr1_input": "3000\n",
}
BATTERY = "sys/class/power_supply/BAT0"
LAPTOP = {
    **_common(8, ""),
    **_clocks(8, 1_800_000, 4_200_000),
    **_zone(0, "acpitz", 44000, critical=103000),
    **_zone(1, "x86_pkg_temp", 52000, passive=0),
    **_memory(16_000_000, 9_000_000),
    "proc/pressure/cpu": "some avg10=0.33 avg60=0.10 avg300=0.00 total=4711\n",
    "sys/class/powercap/intel-rapl:0/name": "package-0\n",
    "sys/class/powercap/intel-rapl:0/energy_uj": "262143000000\n",
    "sys/class/powercap/intel-rapl:0/max_energy_range_uj": "262143328850\n",
    "sys/class/powercap/intel-rapl:0:0/name": "core\n",
    "sys/class/powercap/intel-rapl:0:0/energy_uj": "1000\n",
    f"{BATTERY}/type": "Battery\n",
    f"{BATTERY}/capacity": "80\n",
    f"{BATTERY}/status": "Discharging\n",
    f"{BATTERY}/energy_now": "40000000\n",
    f"{BATTERY}/energy_full": "50000000\n",
    f"{BATTERY}/power_now": "8000000\n",
    "sys/class/power_supply/AC/type": "Mains\n",
    "sys/class/power_supply/AC/online": "0\n",
    "sys/class/power_supply/mouse/type": "Battery\n",
    "sys/class/power_supply/mouse/scope": "Device\n",
    "sys/class/power_supply/mouse/capacity": "30\n",
}
BOARDS = {
    "Pi Zero 2 W": PI_ZERO_2_W,
    "Pi 4": PI_4,
    "Pi 5": PI_5,
    "Orin Nano": ORIN_NANO,
    "laptop": LAPTOP,
}


def make(root: Path, files: dict[str, str]) -> Path:
    """The tree under `root`; what begins as a script can be run."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if text.startswith("#!"):
            path.chmod(0o755)
    return root
