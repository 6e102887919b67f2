#!/bin/sh
# A certificate authority of your own, and the broker's certificate: certificates.sh HOST DIR. Needs openssl.
# Running it again renews the broker's certificate and keeps the authority, so the agents need nothing new.
set -eu
[ $# = 2 ] || { echo "usage: certificates.sh HOST DIR" >&2; exit 2; }
host=$1 dir=$2 days=825
umask 077
mkdir -p "$dir"
cd "$dir"
if [ ! -f ca.key ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj '/CN=Tocsin broker authority' \
    -addext 'keyUsage=critical,keyCertSign,cRLSign' -keyout ca.key -out ca.crt 2>/dev/null
fi
case $host in *[!0-9.]*) name=DNS:$host ;; *) name=IP:$host ;; esac
printf 'subjectAltName=%s,DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n' "$name" >extensions
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$host" \
  -keyout broker.key -out broker.csr 2>/dev/null
openssl x509 -req -in broker.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days "$days" -extfile extensions \
  -out broker.crt 2>/dev/null
rm -f broker.csr extensions
chmod 755 .
chmod 644 ca.crt broker.crt
if [ "$(id -u)" = 0 ] && getent passwd mosquitto >/dev/null; then chown mosquitto broker.key; fi
echo "made $dir/ca.crt (for the agents), broker.crt and broker.key; keep ca.key somewhere safer"
