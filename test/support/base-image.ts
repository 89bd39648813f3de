import { execFileSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { cacheFolder, programPath } from './machine.js'

const CACHE = join(cacheFolder(), 'base-image')

const CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt'

export interface BaseImage {
  /** A root file system for `docker import`. */
  readonly tar: string
  /** `--change` values that go with it. */
  readonly changes: readonly string[]
}

/**
 * A stand-in for `node:22-bookworm-slim`, which cannot be pulled everywhere: this machine's distribution, minimal, with its
 * node, its npm, and its way to package servers. Made once per machine and version (half a minute), then kept.
 */
export function baseImage(): BaseImage {
  const tar = join(CACHE, `${codename()}-${process.arch}-node-${process.version}-npm-${npmVersion()}.tar`)
  if (!existsSync(tar)) make(tar)
  return { tar, changes: environment().map((variable) => `ENV ${variable}`) }
}

function make(tar: string): void {
  const work = mkdtempSync(join(tmpdir(), 'hostler-base-'))
  const root = join(work, 'root')
  try {
    run('debootstrap', ['--variant=minbase', codename(), root, archive().site])
    addPackageSources(root)
    addNode(root)
    addNpm(root)
    addCertificates(root)
    // Under its final name only when it is whole: two test runs may make it at once.
    mkdirSync(CACHE, { recursive: true })
    const unfinished = `${tar}.${process.pid}`
    run('tar', ['-c', '-f', unfinished, '-C', root, '--exclude=./var/cache/apt/archives/*.deb', '.'])
    renameSync(unfinished, tar)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

const run = (program: string, args: readonly string[]): string =>
  execFileSync(programPath(program), args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 64 << 20 })

/** `bookworm`, `noble`. */
const codename = (): string => /^VERSION_CODENAME=(.*)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? ''

interface Archive {
  readonly site: string
  readonly release: string
  readonly component: string
}

function archives(): Archive[] {
  const lines = run('apt-get', ['indextargets', '--format', '$(CREATED_BY) $(SITE) $(RELEASE) $(COMPONENT)']).split(
    '\n',
  )
  const words = lines.map((line) => line.split(' ')).filter(([kind]) => kind === 'Packages')
  return words.map(([, site = '', release = '', component = '']) => ({ site, release, component }))
}

/** Where this machine gets its own distribution from. */
function archive(): Archive {
  const found = archives().find(({ release, component }) => release === codename() && component === 'main')
  if (!found) throw new Error(`apt knows no source of ${codename()} main`)
  return found
}

function addPackageSources(root: string): void {
  const ours = archives().filter(({ release }) => release.startsWith(codename()))
  const lines = ours.map(({ site, release, component }) => `deb ${site} ${release} ${component}\n`)
  writeFileSync(join(root, 'etc/apt/sources.list'), [...new Set(lines)].join(''))
  const settings = run('apt-config', ['dump', 'Acquire']).split('\n')
  const ways = settings.filter((line) => /^Acquire::(https?|Check-|ForceIPv|Retries)/.test(line))
  writeFileSync(join(root, 'etc/apt/apt.conf.d/00machine'), `${ways.join('\n')}\n`)
}

/** With those of its libraries that a minimal system has not. */
function addNode(root: string): void {
  copyInto(root, process.execPath, 'usr/bin/node')
  const libraries = run('ldd', [process.execPath]).match(/\/\S+(?= \()/g) ?? []
  for (const library of libraries) {
    if (!existsSync(join(root, library))) copyInto(root, library, library)
  }
}

function addNpm(root: string): void {
  cpSync(npmFolder(), join(root, 'usr/lib/node_modules/npm'), { recursive: true, dereference: true })
  for (const name of ['npm', 'npx']) {
    symlinkSync(`../lib/node_modules/npm/bin/${name}-cli.js`, join(root, 'usr/bin', name))
  }
}

const npmFolder = (): string => dirname(dirname(realpathSync(programPath('npm'))))

const npmVersion = (): string =>
  (JSON.parse(readFileSync(join(npmFolder(), 'package.json'), 'utf8')) as { version: string }).version

function addCertificates(root: string): void {
  if (existsSync(CERTIFICATES)) copyInto(root, CERTIFICATES, CERTIFICATES)
}

function copyInto(root: string, from: string, to: string): void {
  mkdirSync(dirname(join(root, to)), { recursive: true })
  cpSync(from, join(root, to), { dereference: true })
}

/** How npm reaches its registry from here; no credentials. */
function environment(): string[] {
  const registry = execFileSync('npm', ['config', 'get', 'registry'], { encoding: 'utf8' }).trim()
  const certificates = existsSync(CERTIFICATES) ? [`NODE_EXTRA_CA_CERTS=${CERTIFICATES}`] : []
  const proxies = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'].flatMap((name) => [name, name.toLowerCase()])
  return [
    `npm_config_registry=${registry}`,
    ...certificates,
    ...proxies.filter((name) => process.env[name]).map((name) => `${name}=${process.env[name]}`),
  ]
}
