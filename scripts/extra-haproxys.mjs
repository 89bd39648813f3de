// HAProxy in versions that this machine's own release does not have, from other suites of the Debian archive, for the tests.
//
// Each is unpacked with the C library, the loader and the libraries that it was built for into one folder below the user's
// cache folder, is kept there, and is started through that loader. Nothing is installed. What cannot be had is named.
import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createPrivateApt } from './apt-suites.mjs'
import { cacheFolder, keep, makeIn, reasonOf, toStderr } from './kept-programs.mjs'

const run = promisify(execFile)

/** A version → the suites that carry it or did, best first; a suite that needs others' libraries is named with them. */
const SUITES = { '3.0': [['trixie']], 3.2: [['sid'], ['forky']], 3.4: [['sid', 'experimental']] }

const EXTRA_VERSIONS = Object.keys(SUITES)

/** For one version in all: a network that does not answer must not hold up the tests. */
const TIMEOUT_MS = 120_000

/**
 * The programs of the versions that are kept or can be had, and the versions that are not, after saying which and why.
 * `HOSTLER_EXTRA_HAPROXYS=false` looks for none.
 */
export async function ensureExtraHaproxys() {
  if (process.env.HOSTLER_EXTRA_HAPROXYS === 'false') {
    toStderr(`HOSTLER_EXTRA_HAPROXYS is false: the tests on HAProxy ${EXTRA_VERSIONS.join(', ')} are skipped.`)
    return { bins: [], missing: EXTRA_VERSIONS }
  }
  const found = await Promise.all(EXTRA_VERSIONS.map((version) => extraHaproxy(version)))
  return { bins: found.filter(Boolean), missing: EXTRA_VERSIONS.filter((_, i) => found[i] === undefined) }
}

/** The program of one version; undefined when it is not to be had. `etc` is where apt's sources are. */
export async function extraHaproxy(version, options = {}) {
  const { cache = cacheFolder(), etc = '/etc/apt', say = toStderr, timeoutMs = TIMEOUT_MS } = options
  const folder = join(cache, `haproxy-${version}-${process.arch}`)
  const signal = AbortSignal.timeout(timeoutMs)
  if (await works(folder, version, signal)) return programIn(folder)
  try {
    say(`Getting HAProxy ${version} for the tests, into ${folder}.`)
    await makeIn(cache, (building) => make(building, folder, { version, etc, signal }))
    return programIn(folder)
  } catch (error) {
    const reason = signal.aborted ? `it took longer than ${timeoutMs / 1000} s` : reasonOf(error)
    say(`HAProxy ${version} is not to be had; its tests are skipped. Reason: ${reason}`)
    return undefined
  }
}

const programIn = (folder) => join(folder, 'haproxy')

async function works(folder, version, signal) {
  try {
    const { stdout } = await run(programIn(folder), ['-v'], { signal })
    return stdout.startsWith(`HAProxy version ${version}.`)
  } catch {
    return false
  }
}

async function make(building, folder, { version, etc, signal }) {
  const debs = await download(building, { version, etc, signal })
  const made = join(building, 'made')
  const root = join(made, 'root')
  mkdirSync(root, { recursive: true })
  for (const deb of debs) await run('dpkg-deb', ['--extract', deb, root], { signal })
  writeFileSync(programIn(made), wrapper(root), { mode: 0o755 })
  if (!(await works(made, version, signal))) throw new Error('it does not start here')
  await keep(made, folder, () => works(folder, version, signal))
}

/** The package and what its program needs, from the first suite that has them. */
async function download(building, { version, etc, signal }) {
  let last
  for (const suites of SUITES[version]) {
    try {
      const { config, archives } = await createPrivateApt(join(building, suites[0]), suites, { etc, signal })
      const apt = (...args) => run('apt-get', ['-qq', ...args], { signal, env: { ...process.env, APT_CONFIG: config } })
      await apt('update')
      await apt('--yes', '--download-only', 'install', `haproxy=${version}*`)
      return readdirSync(archives)
        .filter((name) => name.endsWith('.deb'))
        .map((name) => join(archives, name))
    } catch (error) {
      signal.throwIfAborted()
      last = error
    }
  }
  throw last
}

/**
 * Starts HAProxy with its own loader and libraries. A master that loads its configuration anew executes its own first word,
 * which therefore has to be this script.
 */
function wrapper(root) {
  const [libraries, loader] = loaderBelow(root)
  return `#!/bin/sh
root="\${0%/*}/root"
exec "$root/${libraries}/${loader}" --argv0 "$0" --library-path "$root/${libraries}" "$root/usr/sbin/haproxy" "$@"
`
}

function loaderBelow(root) {
  const entries = readdirSync(join(root, 'usr', 'lib'), { withFileTypes: true })
  for (const { name } of entries.filter((entry) => entry.isDirectory())) {
    const libraries = join('usr', 'lib', name)
    const loader = readdirSync(join(root, libraries)).find((file) => /^ld-linux.*\.so\.\d+$/.test(file))
    if (loader !== undefined) return [libraries, loader]
  }
  throw new Error('its C library has no loader that is known here')
}
