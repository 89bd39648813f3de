import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { baseImage } from './base-image.js'
import { programPath } from './machine.js'
import { tempDir } from './temp.js'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** What a build of the image reads, and the compose examples that build it. */
const CONTEXT = [
  ...[
    'Dockerfile',
    '.dockerignore',
    'entrypoint.sh',
    'LICENSE',
    'haproxy',
    'traefik',
    'many-hosts',
    'scripts',
    'src',
    'templates',
  ],
  ...['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json'],
]

/** Docker's command line against one daemon, as a newcomer would use it. */
export interface DockerCli {
  /** Runs a docker command and returns what it printed, and its exit code; throws on none. */
  docker(...args: string[]): Promise<{ code: number; output: string }>
  /** Runs docker-compose in a folder; throws with its output when it fails. */
  compose(folder: string, args: readonly string[], env?: Readonly<Record<string, string>>): Promise<string>
}

export function dockerCli(host: string): DockerCli {
  // BuildKit needs a plugin that Debian does not package; no configuration or credentials of this machine's user.
  const env = { DOCKER_HOST: host, DOCKER_BUILDKIT: '0', COMPOSE_DOCKER_CLI_BUILD: '0', DOCKER_CONFIG: tempDir() }
  return {
    async docker(...args) {
      const { exitCode, all } = await execa(programPath('docker'), args, { env, all: true, reject: false })
      return { code: exitCode ?? -1, output: all }
    },
    async compose(folder, args, more = {}) {
      const { all } = await execa(programPath('docker-compose'), args, {
        cwd: folder,
        env: { ...env, ...more },
        all: true,
      })
      return all
    },
  }
}

/** A copy of the project, so that neither edits nor a second run come between two builds; returns its folder. */
export function projectCopy(): string {
  const folder = tempDir('hostler-image-')
  for (const name of CONTEXT) cpSync(join(ROOT, name), join(folder, name), { recursive: true })
  return folder
}

/** Makes the daemon know the base image under the name that the Dockerfile takes by default. */
export async function importBase({ docker }: DockerCli, name: string): Promise<void> {
  const { tar, changes } = baseImage()
  await done(docker('import', ...changes.flatMap((change) => ['--change', change]), tar, name))
}

/** The daemon has no network of its own for builds, hence the machine's. */
export async function build({ docker }: DockerCli, folder: string, tag: string, ...args: string[]): Promise<void> {
  await done(docker('build', '--network', 'host', '--tag', tag, ...args, folder))
}

async function done(result: ReturnType<DockerCli['docker']>): Promise<void> {
  const { code, output } = await result
  if (code !== 0) throw new Error(`docker ended with ${code}:\n${output.slice(-4000)}`)
}
