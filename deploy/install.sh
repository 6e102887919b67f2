#!/bin/sh
# Installs Tocsin as a service: /opt/tocsin (a virtual environment), /etc/tocsin, /var/lib/tocsin, a user, a unit.
# Running it again upgrades; it never changes a configuration, and never touches the system's Python.
set -eu

usage() {
  cat <<EOF
usage: sudo deploy/install.sh [--wheels DIR] [--python PYTHON] [--no-start] [SOURCE]
  SOURCE         a wheel of tocsin, or a checkout (default: the wheel in DIR, else the checkout this script lies in)
  --wheels DIR   install from the wheels in DIR alone, with no network; fill DIR on another machine with
                 pip wheel -c constraints.txt --wheel-dir DIR .
  --python PATH  the Python of the virtual environment (default: python3)
  --no-start     enable the service, but do not start it now
It installs the versions that constraints.txt names, or the newest that fit where those do not fit this board.
EOF
}
say() { echo "tocsin: $*"; }
die() { echo "tocsin: $*" >&2; exit 2; }

here=$(cd "$(dirname "$0")" && pwd)
opt=/opt/tocsin etc=/etc/tocsin
wheels='' python=python3 source='' start=yes
while [ $# -gt 0 ]; do
  case $1 in
    --wheels) [ $# -ge 2 ] || die "--wheels needs a folder"; wheels=$2; shift 2 ;;
    --python) [ $# -ge 2 ] || die "--python needs a path"; python=$2; shift 2 ;;
    --no-start) start=no; shift ;;
    -h | --help) usage; exit 0 ;;
    -*) usage >&2; die "no such option: $1" ;;
    *) [ -z "$source" ] || die "one SOURCE, not two: $source and $1"; source=$1; shift ;;
  esac
done

[ "$(id -u)" = 0 ] || die "only root can install a service: sudo $0"
command -v "$python" >/dev/null || die "there is no $python: apt install python3"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || die "needs Python 3.10 or newer: use --python"
"$python" -c 'import struct, sys; sys.exit(struct.calcsize("P") != 8)' ||
  die "needs a 64-bit system: onnxruntime has no 32-bit wheels"
"$python" -c 'import ensurepip, venv' 2>/dev/null || die "this Python has no venv: apt install python3-venv"

if [ -n "$wheels" ]; then
  wheels=$(cd "$wheels" 2>/dev/null && pwd) || die "there is no folder $wheels"
  [ -n "$source" ] || source=$(ls -t "$wheels"/tocsin-*.whl 2>/dev/null | head -n 1)
fi
[ -n "$source" ] || source=$(dirname "$here")
case $source in
  *.whl) [ -f "$source" ] || die "there is no wheel $source" ;;
  *) [ -f "$source/pyproject.toml" ] || die "$source is neither a wheel nor a checkout of tocsin" ;;
esac

# The user, in the groups that open devices: those that this system has.
getent group tocsin >/dev/null || groupadd --system tocsin
getent passwd tocsin >/dev/null ||
  useradd --system --gid tocsin --home-dir /var/lib/tocsin --no-create-home --shell /usr/sbin/nologin tocsin
for group in i2c spi gpio dialout audio video; do
  if getent group "$group" >/dev/null; then usermod --append --groups "$group" tocsin; fi
done

# The virtual environment. A system upgrade that took its Python away leaves a broken one: made anew.
if [ -e "$opt" ] && [ ! -f "$opt/pyvenv.cfg" ] && [ -n "$(ls -A "$opt")" ]; then
  die "$opt is there and is not mine: move it away"
fi
if ! "$opt/bin/python" -c 'import pip' 2>/dev/null; then
  say "making a virtual environment in $opt"
  "$python" -m venv --clear "$opt"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -d "$source" ]; then # build in a copy: a checkout is not ours to write to
  mkdir "$work/tocsin"
  for part in agent sensors models pyproject.toml README.md LICENSE; do cp -r "$source/$part" "$work/tocsin/"; done
  source=$work/tocsin
fi
say "installing $(basename "$source") (a Raspberry Pi takes a minute or two)"
set -- --disable-pip-version-check -q --prefer-binary --upgrade
[ -z "$wheels" ] || set -- "$@" --no-index --find-links "$wheels"
tested=$(dirname "$here")/constraints.txt
if [ ! -f "$tested" ]; then
  say "no constraints.txt beside $here: taking the newest versions, not those that were tested"
  "$opt/bin/python" -m pip install "$@" "$source"
elif ! "$opt/bin/python" -m pip install "$@" -c "$tested" "$source" >"$work/pip" 2>&1; then
  sed "/^$/d" "$work/pip" | tail -n 8 >&2
  say "the tested versions cannot be had here (this Python, processor, these wheels): taking the newest that can"
  "$opt/bin/python" -m pip install "$@" "$source"
fi
# The same version from another checkout is still another program.
"$opt/bin/python" -m pip install "$@" --force-reinstall --no-deps "$source"
mkdir -p /usr/local/bin
if [ ! -e /usr/local/bin/tocsin ] || [ -L /usr/local/bin/tocsin ]; then
  ln -sfn "$opt/bin/tocsin" /usr/local/bin/tocsin
fi

install -d -m 755 "$etc" "$etc/tocsin.d"
if [ -e "$etc/tocsin.yaml" ]; then
  say "kept $etc/tocsin.yaml as it is"
else
  install -m 644 "$here/tocsin.yaml" "$etc/tocsin.yaml"
  say "wrote $etc/tocsin.yaml: it listens to this board itself; add your machine"
fi
install -D -m 644 "$here/99-tocsin.rules" /etc/udev/rules.d/99-tocsin.rules
install -D -m 644 "$here/tocsin.service" /etc/systemd/system/tocsin.service

if ! "$opt/bin/tocsin" check --config "$etc/tocsin.yaml" >"$work/check" 2>&1; then
  cat "$work/check" >&2
  say "not started: mend $etc/tocsin.yaml, then systemctl restart tocsin"
  start=no
fi
if ! command -v systemctl >/dev/null; then
  say "no systemd here: start it yourself with $opt/bin/tocsin run"
elif [ ! -d /run/systemd/system ]; then
  systemctl enable -q tocsin.service
  say "systemd does not run here: the service starts at the next boot"
else
  udevadm control --reload 2>/dev/null && udevadm trigger --subsystem-match=iio --subsystem-match=i2c-dev --subsystem-match=spidev || true
  systemctl daemon-reload
  systemctl enable -q tocsin.service
  if [ "$start" = yes ]; then
    systemctl restart tocsin.service
    say "running: tocsin status, journalctl -u tocsin"
  fi
fi
say "installed $("$opt/bin/tocsin" --version)"
