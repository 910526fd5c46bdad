#!/bin/sh
# Make the secrets that deploy/compose.yaml mounts, in deploy/secrets or the directory given, where they are not there yet.
# Keep them: with another identity secret Tidemark refuses to go on with the counters that are there, because it could not
# tell a copy of an event that they hold.
set -eu
umask 077
directory=${1:-$(dirname "$0")/secrets}
mkdir -p "$directory"

random() {
    od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n'
}

# Nobody else comes into the directory; the containers, whose users are others, read the files that they are given.
write() {
    if [ -e "$directory/$1" ]; then
        echo "secrets: $directory/$1 is there already and stays as it is"
        return
    fi
    cat > "$directory/$1.new"
    chmod 644 "$directory/$1.new"
    mv "$directory/$1.new" "$directory/$1"
    echo "secrets: made $directory/$1"
}

write tidemark.toml <<TOML
[events]
identity_secret = "$(random)"

[api]
jwt_secret = "$(random)"
TOML
random | write grafana_password
