// Consul for the tests, from the last suite of the Debian archive that has it.
//
// The program needs no more of the machine than its C library. It is unpacked below the user's cache folder and kept there;
// nothing is installed. What cannot be had is named.
import { execFile } from 'node:child_process'
import { copyFileSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createPrivateApt } from './apt-suites.mjs'
import { cacheFolder, keep, makeIn, reasonOf, toStderr } from './kept-programs.mjs'

const run = promisify(execFile)

const VERSION = '1.8.7'
const SUITE = 'bullseye'

/** A network that does not answer must not hold up the tests. */
const TIMEOUT_MS = 120_000

/**
 * The program; undefined when it is not to be had, after saying why. One that `CONSUL_BIN` names is taken as it is.
 * `etc` is where apt's sources are.
 */
export async function ensureConsul(options = {}) {
  const { cache = cacheFolder(), etc = '/etc/apt', say = toStderr, timeoutMs = TIMEOUT_MS, env = process.env } = options
  if (env.CONSUL_BIN) return env.CONSUL_BIN
  const folder = join(cache, `consul-${VERSION}-${process.arch}`)
  const signal = AbortSignal.timeout(timeoutMs)
  if (await works(folder, signal)) return programIn(folder)
  try {
    say(`Getting Consul ${VERSION} for the tests, into ${folder}.`)
    await makeIn(cache, (building) => make(building, folder, { etc, signal }))
    return programIn(folder)
  } catch (error) {
    const reason = signal.aborted ? `it took longer than ${timeoutMs / 1000} s` : reasonOf(error)
    say(`Consul ${VERSION} is not to be had; its tests are skipped. Reason: ${reason}`)
    return undefined
  }
}

const programIn = (folder) => join(folder, 'consul')

async function works(folder, signal) {
  try {
    const { stdout } = await run(programIn(folder), ['version'], { signal })
    return stdout.startsWith(`Consul v${VERSION}`)
  } catch {
    return false
  }
}

async function make(building, folder, { etc, signal }) {
  const { config } = await createPrivateApt(join(building, 'apt'), [SUITE], { etc, signal })
  const downloads = join(building, 'downloads')
  const [made, root] = [join(building, 'made'), join(building, 'root')]
  for (const path of [downloads, made, root]) mkdirSync(path)
  const env = { ...process.env, APT_CONFIG: config }
  await run('apt-get', ['-qq', 'update'], { signal, env })
  await run('apt-get', ['-qq', 'download', `consul=${VERSION}*`], { signal, env, cwd: downloads })
  const [deb] = readdirSync(downloads)
  await run('dpkg-deb', ['--extract', join(downloads, deb), root], { signal })
  copyFileSync(join(root, 'usr/bin/consul'), programIn(made))
  if (!(await works(made, signal))) throw new Error('it does not start here')
  await keep(made, folder, () => works(folder, signal))
}
