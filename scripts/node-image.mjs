// An image of this machine's own Node.js and a folder of programs for it: nothing need be pulled, compiled or installed, and
// it is there in about two seconds. For the demo's container, and for the tests' and benchmarks' own app.
import { execFileSync, spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

/**
 * Puts it into a Docker or Podman, with `app` at /app and Node.js at /bin/node.
 *
 * @param docker a dockerode
 * @param options `image` is NAME:TAG, `app` a folder, `changes` instructions of a Dockerfile (CMD, EXPOSE, LABEL and the like);
 *   `add` may put more into the folder that becomes the image's root
 */
export async function importNodeImage(docker, { image, app, changes, add = () => undefined }) {
  const folder = mkdtempSync(join(tmpdir(), 'hostler-image-'))
  try {
    for (const name of ['tmp', 'proc', 'sys', 'dev', 'etc']) mkdirSync(join(folder, name))
    cpSync(app, join(folder, 'app'), { recursive: true })
    copyWithLibraries(folder, process.execPath, 'bin/node')
    add(folder)
    await importFolder(docker, folder, image, changes)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function importFolder(docker, folder, image, changes) {
  const tar = spawn('tar', ['-c', '-C', folder, '.'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const at = image.lastIndexOf(':')
  const reply = await docker.importImage(tar.stdout, { repo: image.slice(0, at), tag: image.slice(at + 1), changes })
  for await (const chunk of reply) if (/"error"/.test(chunk)) throw new Error(`the image ${image}: ${chunk}`)
}

/** What it is linked with comes along, at the same paths. */
function copyWithLibraries(root, from, to) {
  copyInto(root, from, to)
  const libraries = execFileSync('ldd', [from], { encoding: 'utf8' }).match(/\/\S+(?= \()/g) ?? []
  for (const library of libraries) copyInto(root, library, library)
}

export function copyInto(root, from, to) {
  mkdirSync(dirname(join(root, to)), { recursive: true })
  cpSync(from, join(root, to), { dereference: true })
}
