// A private apt that reads other suites of the Debian archive which this machine's apt reads already: the machine's own
// sources with another suite's name in them, and lists, cache and package states in a folder of its own. It installs nothing.
import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** A folder with `apt.conf`, for `APT_CONFIG`. Throws when the machine has no source of a Debian release. */
export async function createPrivateApt(folder, suites, { etc, signal }) {
  const sources = otherSources(etc, suites)
  if (sources.length === 0) throw new Error('this machine has no apt source of a Debian release')
  for (const name of ['sources', 'lists/partial', 'cache/archives/partial'])
    mkdirSync(join(folder, name), { recursive: true })
  for (const { name, text } of sources) writeFileSync(join(folder, 'sources', name), text)
  writeFileSync(join(folder, 'status'), UNWANTED.map(installed).join(''))
  const { stdout } = await run('apt-config', ['dump'], { signal })
  const config = join(folder, 'apt.conf')
  writeFileSync(config, machineSettings(stdout) + settings(folder))
  return { config, archives: join(folder, 'cache', 'archives') }
}

/** What the machine's apt is told about the network; not its folders, and none of the commands that it runs afterwards. */
const machineSettings = (dump) => dump.replace(/^(?!Acquire::).*\n/gm, '')

const settings = (folder) => `
Dir::Etc::parts "/dev/null";
Dir::Etc::main "/dev/null";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "${folder}/sources";
Dir::Etc::preferencesparts "/dev/null";
Dir::State::lists "${folder}/lists";
Dir::State::status "${folder}/status";
Dir::Cache "${folder}/cache";
Acquire::Languages "none";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
Debug::NoLocking "true";
`

/** Needed to install a service, not to start its program: told to be there, they and what they need are not fetched. */
const UNWANTED = ['adduser', 'init-system-helpers', 'lsb-base']

const installed = (name) => `Package: ${name}
Status: install ok installed
Version: 999
Architecture: all
Multi-Arch: foreign

`

function otherSources(etc, suites) {
  const releases = releaseNames()
  const files = [['', 'sources.list'], ...namesIn(join(etc, 'sources.list.d')).map((name) => ['sources.list.d', name])]
  return files.flatMap(([below, name]) => {
    const convert = { list: otherLines, sources: otherStanzas }[name.split('.').at(-1)]
    const text = convert?.(readIfThere(join(etc, below, name)), releases, suites) ?? ''
    return text === '' ? [] : [{ name, text }]
  })
}

/** The names under which a source may read this machine's release, or any other as a whole: not its updates. */
function releaseNames() {
  const codename = /^VERSION_CODENAME=(\S+)$/m.exec(readIfThere('/etc/os-release'))?.[1]
  return new Set(['oldstable', 'stable', 'testing', 'unstable', 'sid', codename ?? 'stable'])
}

/** One-line sources (`deb URI SUITE COMPONENT…`). */
export function otherLines(text, releases, suites) {
  return [...text.matchAll(/^deb\s+((?:\[[^\]]*\]\s+)?\S+\s+)(\S+)(\s.*)$/gm)]
    .filter(([, , suite]) => releases.has(suite))
    .flatMap(([, where, , components]) => suites.map((suite) => `deb ${where}${suite}${components}\n`))
    .join('')
}

/** Sources in stanzas of fields (deb822). */
export function otherStanzas(text, releases, suites) {
  return text
    .split(/\n[ \t]*\n/)
    .filter((stanza) => wordsOf(stanza, 'Suites').some((suite) => releases.has(suite)))
    .filter((stanza) => wordsOf(stanza, 'Types').includes('deb') && !wordsOf(stanza, 'Enabled').includes('no'))
    .map((stanza) => withField(withField(stanza, 'Types', 'deb'), 'Suites', suites.join(' ')).trim())
    .map((stanza) => `${stanza}\n\n`)
    .join('')
}

/** A field goes on in the lines that begin with a blank. */
const field = (name) => new RegExp(`^${name}:(.*(?:\\n[ \\t].*)*)`, 'im')

const wordsOf = (stanza, name) => field(name).exec(stanza)?.[1].trim().split(/\s+/) ?? []

const withField = (stanza, name, value) => stanza.replace(field(name), `${name}: ${value}`)

function namesIn(folder) {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function readIfThere(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
