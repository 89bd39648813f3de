// The real servers that the demo and the tests need, and how to get them on Debian and Ubuntu.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** What a server is called here → the program that proves it is there, and Debian's package. */
export const SERVERS = {
  haproxy: { program: 'haproxy', package: 'haproxy' },
  dockerd: { program: 'dockerd', package: 'docker.io' },
  docker: { program: 'docker', package: 'docker.io' },
  busybox: { program: 'busybox', package: 'busybox-static' },
  podman: { program: 'podman', package: 'podman' },
  // Podman is content with another network stack too, which reads none of the networks that the tests write.
  netavark: { program: 'netavark', package: 'netavark' },
  'docker-compose': { program: 'docker-compose', package: 'docker-compose' },
  debootstrap: { program: 'debootstrap', package: 'debootstrap' },
  chromium: { program: 'chromium', package: 'chromium' },
  openssl: { program: 'openssl', package: 'openssl' },
  etcd: { program: 'etcd', package: 'etcd-server' },
  etcdctl: { program: 'etcdctl', package: 'etcd-client' },
  ip: { program: 'ip', package: 'iproute2' },
  curl: { program: 'curl', package: 'curl' },
}

/** What only the benchmarks need, in the same form. */
const BENCH_TOOLS = { wrk: { program: 'wrk', package: 'wrk' } }

const toolOf = (name) => SERVERS[name] ?? BENCH_TOOLS[name]

const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/lib/podman', '/usr/libexec/podman']

export function findProgram(name) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...SYSTEM_FOLDERS]
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path))
}

/**
 * Installs what is missing where that is possible (root on Debian or Ubuntu), after saying so.
 * Returns the names of the servers that are still missing.
 */
export function ensureServers(names, say = (line) => process.stderr.write(`${line}\n`)) {
  const missing = names.filter((name) => !findProgram(toolOf(name).program))
  if (missing.length === 0) return []
  const packages = [...new Set(missing.map((name) => toolOf(name).package))]
  if (process.getuid?.() !== 0 || !findProgram('apt-get')) {
    say(`Not on this machine: ${missing.join(', ')}. Install: apt-get install ${packages.join(' ')}`)
    return missing
  }
  say(`Not on this machine: ${missing.join(', ')}. Installing ${packages.join(' ')} with apt-get.`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  // Servers are started by whoever needs them, never by the package's own service.
  const apt = (...args) => spawnSync('apt-get', ['-qq', ...args], { env, stdio: ['ignore', 'ignore', 'inherit'] })
  apt('update')
  for (const name of packages) apt('install', '-y', '--no-install-recommends', name)
  return names.filter((name) => !findProgram(toolOf(name).program))
}

/** The version line of a program, for reports; undefined when it does not run. */
export function versionOf(program, ...args) {
  try {
    return execFileSync(program, args, { encoding: 'utf8' }).split('\n')[0]
  } catch {
    return undefined
  }
}
