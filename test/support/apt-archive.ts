import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { tempDir } from './temp.js'

/** A Debian archive with one suite and one package, which holds these files; `deb` is the line for apt's sources. */
export function makeArchive(suite: string, name: string, version: string, files: Readonly<Record<string, string>>) {
  const dir = tempDir()
  const architecture = execFileSync('dpkg', ['--print-architecture'], { encoding: 'utf8' }).trim()
  const control = `Package: ${name}\nVersion: ${version}\nArchitecture: ${architecture}\nMaintainer: nobody <nobody@example.com>\nDescription: for a test\n`
  const write = (path: string, text: string, mode = 0o644) => {
    mkdirSync(dirname(join(dir, path)), { recursive: true })
    writeFileSync(join(dir, path), text, { mode })
  }
  write('tree/DEBIAN/control', control)
  for (const [path, text] of Object.entries(files)) write(`tree/${path}`, text, 0o755)
  execFileSync('dpkg-deb', ['--build', '--root-owner-group', 'tree', 'package.deb'], { cwd: dir, stdio: 'ignore' })
  const deb = readFileSync(join(dir, 'package.deb'))
  const list = `${control}Filename: package.deb\nSize: ${deb.length}\nSHA256: ${sha256(deb)}\n\n`
  const below = `main/binary-${architecture}/Packages`
  write(`dists/${suite}/${below}`, list)
  write(
    `dists/${suite}/Release`,
    `Suite: ${suite}\nCodename: ${suite}\nArchitectures: ${architecture}\nComponents: main\nDate: ${new Date().toUTCString()}\nSHA256:\n ${sha256(list)} ${list.length} ${below}\n`,
  )
  return { deb: `deb [trusted=yes] copy:${dir}` }
}

const sha256 = (content: string | Buffer) => createHash('sha256').update(content).digest('hex')
