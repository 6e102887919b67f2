#!/bin/sh
# Removes the service and its virtual environment. Configuration, the unit's drop-ins, baselines and user stay, unless
# --purge is said.
set -eu
purge=no
case ${1-} in
  '') ;;
  --purge) purge=yes ;;
  *) echo "usage: sudo deploy/uninstall.sh [--purge]" >&2; exit 2 ;;
esac
[ "$(id -u)" = 0 ] || { echo "tocsin: only root can remove a service: sudo $0" >&2; exit 2; }

if [ -d /run/systemd/system ]; then
  systemctl disable -q --now tocsin.service 2>/dev/null || true
elif command -v systemctl >/dev/null; then
  systemctl disable -q tocsin.service 2>/dev/null || true
fi
dropins=/etc/systemd/system/tocsin.service.d
rm -f /etc/systemd/system/tocsin.service /etc/udev/rules.d/99-tocsin.rules
if [ "$purge" = yes ]; then rm -rf "$dropins"; fi
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
if [ -f /opt/tocsin/pyvenv.cfg ]; then rm -rf /opt/tocsin; fi
if [ "$(readlink /usr/local/bin/tocsin 2>/dev/null)" = /opt/tocsin/bin/tocsin ]; then rm -f /usr/local/bin/tocsin; fi

if [ "$purge" = yes ]; then
  rm -rf /etc/tocsin /var/lib/tocsin /run/tocsin
  if getent passwd tocsin >/dev/null; then userdel tocsin; fi
  if getent group tocsin >/dev/null; then groupdel tocsin; fi
  echo "tocsin: removed, and everything it knew"
else
  kept='/etc/tocsin and /var/lib/tocsin'
  if [ -d "$dropins" ]; then kept="/etc/tocsin, /var/lib/tocsin and $dropins"; fi
  echo "tocsin: removed; $kept are kept (uninstall.sh --purge removes them too)"
fi
