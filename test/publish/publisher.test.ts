import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { silentLogger } from '../../src/lib/logger.js'
import type { Publisher, RenderedFile } from '../../src/publish/files.js'
import { createPublisher } from '../../src/publish/publisher.js'
import { tempDir } from '../support/temp.js'
import { until } from '../support/wait.js'

const log = silentLogger()
const open: Publisher[] = []
afterEach(async () => {
  for (const publisher of open.splice(0)) await publisher.close()
})

function publisherAt(root: string): Publisher {
  const publisher = createPublisher({ root, log })
  open.push(publisher)
  return publisher
}

async function publish(publisher: Publisher, files: RenderedFile[]) {
  return (await publisher.stage(files)).commit()
}

/** Every path below a folder with its kind, mode and content, but for what Hostler keeps for itself. */
function tree(folder: string): Record<string, string> {
  const seen: Record<string, string> = {}
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name)
    if (path.includes('.hostler')) continue
    const stat = lstatSync(path)
    seen[path] = `${stat.mode.toString(8)} ${stat.uid} ${stat.ino} ${entry.isFile() ? readFileSync(path, 'utf8') : ''}`
  }
  return seen
}

const leftovers = (folder: string) =>
  readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && (entry.name.endsWith('.new') || entry.parentPath.endsWith('scratch')))
    .map((entry) => join(entry.parentPath, entry.name))

describe('staging', () => {
  test('tells where the content to be checked lies, and leaves the targets alone', async () => {
    const root = tempDir()
    writeFileSync(join(root, 'same.cfg'), 'same')
    writeFileSync(join(root, 'other.cfg'), 'old')
    const stage = await publisherAt(root).stage([
      { path: join(root, 'same.cfg'), content: 'same' },
      { path: join(root, 'other.cfg'), content: 'new' },
    ])
    expect(stage.changed).toBe(true)
    expect(stage.files.map((file) => file.changed)).toEqual([false, true])
    expect(stage.files[0]?.stagedPath).toBe(join(root, 'same.cfg'))
    expect(readFileSync(stage.files[1]?.stagedPath ?? '', 'utf8')).toBe('new')
    expect(stage.files[1]?.stagedPath).toMatch(/\/\.hostler\/other\.cfg\.[^/]+\.new$/)
    expect(readFileSync(join(root, 'other.cfg'), 'utf8')).toBe('old')
    expect(readdirSync(stage.scratch)).toEqual([])
    writeFileSync(join(stage.scratch, 'check.cfg'), '')
    await stage.discard()
    expect(leftovers(root)).toEqual([])
  })

  test('followed by a discard leaves the tree as it was', async () => {
    const name = fc.constantFrom('a.cfg', 'b.map', 'deep/c.cfg', 'deep/er/d.cfg', 'e.yml')
    const set = fc.dictionary(name, fc.string({ maxLength: 40 }), { minKeys: 1 })
    await fc.assert(
      fc.asyncProperty(set, set, async (before, wanted) => {
        const root = tempDir()
        const publisher = publisherAt(root)
        const files = (of: Record<string, string>) =>
          Object.entries(of).map(([path, content]) => ({ path: join(root, path), content }))
        await publish(publisher, files(before))
        const was = tree(root)
        const stage = await publisher.stage(files(wanted))
        await stage.discard()
        expect(tree(root)).toEqual(was)
        expect(leftovers(root)).toEqual([])
        await publish(publisher, files(wanted))
        const names = (of: Record<string, string>) => Object.keys(of).filter((path) => existsSync(join(root, path)))
        expect(names({ ...before, ...wanted }).sort()).toEqual(Object.keys(wanted).sort())
        await publisher.close()
      }),
      { numRuns: 40 },
    )
  })

  test('undoes an earlier stage that was left open', async () => {
    const root = tempDir()
    const publisher = publisherAt(root)
    await publisher.stage([{ path: join(root, 'a'), content: '1' }])
    const stage = await publisher.stage([{ path: join(root, 'b'), content: '2' }])
    expect(leftovers(root)).toEqual([stage.files[0]?.stagedPath])
    await stage.commit()
    expect(Object.keys(tree(root))).toEqual([join(root, 'b')])
    await expect(stage.commit()).rejects.toThrow(/stage it again/)
  })

  test('refuses what can only be a mistake', async () => {
    const root = tempDir()
    const publisher = publisherAt(root)
    symlinkSync('a.map', join(root, 'alias.map'))
    mkdirSync(join(root, 'folder'))
    writeFileSync(join(root, 'file'), '')
    const stage = (...paths: string[]) => publisher.stage(paths.map((path) => ({ path, content: 'x' })))
    await expect(stage()).rejects.toThrow(/an empty set would remove all/)
    await expect(stage('relative.cfg')).rejects.toThrow(/not an absolute path/)
    await expect(stage(join(root, 'a.map'), join(root, 'alias.map'))).rejects.toThrow(/are the same file/)
    await expect(stage(join(root, 'ok'), join(root, 'folder'))).rejects.toThrow(/is a folder; move it away/)
    await expect(stage(join(root, 'ok'), join(root, 'file/x'))).rejects.toMatchObject({ code: 'PUBLISH' })
    expect(leftovers(root)).toEqual([])
    expect(existsSync(join(root, 'ok'))).toBe(false)
  })
})

describe('asking what differs', () => {
  test('names what a commit would write or remove, and leaves everything as it is', async () => {
    const root = tempDir()
    const path = (name: string) => join(root, name)
    const publisher = publisherAt(root)
    const file = (name: string, content = name) => ({ path: path(name), content })
    expect(await publisher.differing([file('a')])).toEqual([path('a')])
    await publish(publisher, [file('a'), file('b'), file('c')])
    await until('nothing is left to do', () => !existsSync(join(root, '.hostler', 'journal.json')))
    const before = readdirSync(root, { recursive: true }).sort()
    expect(await publisher.differing([file('a'), file('b'), file('c')])).toEqual([])
    expect(await publisher.differing([file('a', 'new'), file('b'), file('d')])).toEqual(['a', 'd', 'c'].map(path))
    expect(readdirSync(root, { recursive: true }).sort()).toEqual(before)
    expect(['a', 'b', 'c'].map((name) => readFileSync(path(name), 'utf8'))).toEqual(['a', 'b', 'c'])
    const { changed } = await publish(publisher, [file('a', 'new'), file('b'), file('d')])
    expect(changed).toEqual(['a', 'd', 'c'].map(path))
  })
})

describe('committing', () => {
  test('touches nothing when the content is equal', async () => {
    const root = tempDir()
    const path = join(root, 'a.cfg')
    const publisher = publisherAt(root)
    expect((await publish(publisher, [{ path, content: 'ä' }])).changed).toEqual([path])
    const before = statSync(path, { bigint: true })
    const stage = await publisher.stage([{ path, content: 'ä' }])
    expect(stage.changed).toBe(false)
    expect((await stage.commit()).changed).toEqual([])
    const after = statSync(path, { bigint: true })
    expect([after.ino, after.ctimeNs]).toEqual([before.ino, before.ctimeNs])
  })

  test('keeps mode and owner of an existing file, and gives a new one its own whatever the umask', async () => {
    const root = tempDir()
    const path = (name: string) => join(root, name)
    writeFileSync(path('kept'), 'old')
    chmodSync(path('kept'), 0o640)
    if (process.getuid?.() === 0) chownSync(path('kept'), 1234, 4321)
    const { uid, gid } = statSync(path('kept'))
    const umask = process.umask(0o077)
    try {
      await publish(publisherAt(root), [
        { path: path('kept'), content: 'new' },
        { path: path('fresh'), content: 'new' },
        { path: path('secret'), content: 'new', mode: 0o600 },
        { path: path('deep/er/fresh'), content: 'new' },
      ])
    } finally {
      process.umask(umask)
    }
    const mode = (name: string) => statSync(path(name)).mode & 0o7777
    expect([mode('kept'), mode('fresh'), mode('secret')]).toEqual([0o640, 0o644, 0o600])
    expect([mode('deep'), mode('deep/er'), mode('.hostler')]).toEqual([0o755, 0o755, 0o755])
    expect(statSync(path('kept'))).toMatchObject({ uid, gid })
    expect(readFileSync(path('kept'), 'utf8')).toBe('new')
  })

  test('replaces what a link points to, also when that does not exist yet', async () => {
    const root = tempDir()
    const elsewhere = tempDir()
    writeFileSync(join(elsewhere, 'real.cfg'), 'old')
    symlinkSync(join(elsewhere, 'real.cfg'), join(root, 'a.cfg'))
    symlinkSync('b-real.cfg', join(root, 'b.cfg'))
    symlinkSync(elsewhere, join(root, 'folder'))
    await publish(publisherAt(root), [
      { path: join(root, 'a.cfg'), content: 'A' },
      { path: join(root, 'b.cfg'), content: 'B' },
      { path: join(root, 'folder/c.cfg'), content: 'C' },
    ])
    expect(lstatSync(join(root, 'a.cfg')).isSymbolicLink()).toBe(true)
    expect(lstatSync(join(root, 'b.cfg')).isSymbolicLink()).toBe(true)
    expect(readFileSync(join(elsewhere, 'real.cfg'), 'utf8')).toBe('A')
    expect(readFileSync(join(root, 'b-real.cfg'), 'utf8')).toBe('B')
    expect(readFileSync(join(elsewhere, 'c.cfg'), 'utf8')).toBe('C')
  })

  test('refuses links that lead in a circle', async () => {
    const root = tempDir()
    symlinkSync('b', join(root, 'a'))
    symlinkSync('a', join(root, 'b'))
    await expect(publisherAt(root).stage([{ path: join(root, 'a'), content: '' }])).rejects.toThrow(/circle/)
  })

  test('puts right what somebody else edited or deleted, even with the same size and time', async () => {
    const root = tempDir()
    const publisher = publisherAt(root)
    const files = ['a', 'b', 'c'].map((name) => ({ path: join(root, name), content: `content of ${name}` }))
    await publish(publisher, files)
    const { atime, mtime } = statSync(join(root, 'a'))
    writeFileSync(join(root, 'a'), 'CONTENT of a')
    utimesSync(join(root, 'a'), atime, mtime)
    rmSync(join(root, 'b'))
    const { changed } = await publish(publisher, files)
    expect(changed).toEqual([join(root, 'a'), join(root, 'b')])
    for (const { path, content } of files) expect(readFileSync(path, 'utf8')).toBe(content)
  })

  test('removes a file of ours that is no longer rendered, also after a restart, and no other', async () => {
    const root = tempDir()
    const file = (name: string) => ({ path: join(root, name), content: name })
    writeFileSync(join(root, 'users.cfg'), 'theirs')
    const first = publisherAt(root)
    await publish(first, [file('a'), file('b'), file('deep/c')])
    await first.close()
    const { changed } = await publish(publisherAt(root), [file('a')])
    expect(changed).toEqual([join(root, 'b'), join(root, 'deep/c')])
    expect(Object.keys(tree(root)).sort()).toEqual([join(root, 'a'), join(root, 'deep'), join(root, 'users.cfg')])
  })

  test('can be rolled back to contents, modes and files as they were', async () => {
    const root = tempDir()
    const publisher = publisherAt(root)
    const before = [
      { path: join(root, 'changed'), content: '1', mode: 0o600 },
      { path: join(root, 'removed'), content: '2', mode: 0o640 },
    ]
    await publish(publisher, before)
    const contents = () =>
      Object.fromEntries(Object.entries(tree(root)).map(([path, seen]) => [path, seen.replace(/ \d+ /, ' ')]))
    const withoutInode = () =>
      Object.fromEntries(Object.entries(contents()).map(([path, seen]) => [path, seen.replace(/\d+ (?=.$)/, '')]))
    const was = withoutInode()
    const published = await publish(publisher, [
      { path: join(root, 'changed'), content: '3' },
      { path: join(root, 'added'), content: '4' },
    ])
    expect(Object.keys(withoutInode()).sort()).toEqual([join(root, 'added'), join(root, 'changed')])
    await published.rollback()
    expect(withoutInode()).toEqual(was)
    expect(leftovers(root)).toEqual([])
    expect((await publisher.stage(before)).changed).toBe(false)
  })

  test('never shows a reader a torn file', async () => {
    const root = tempDir()
    const path = join(root, 'a.cfg')
    const publisher = publisherAt(root)
    const content = (letter: string) => letter.repeat(300_000)
    await publish(publisher, [{ path, content: content('a') }])
    let writing = true
    let reads = 0
    const reader = async () => {
      for (; writing; reads++) {
        const text = await readFile(path, 'utf8')
        if (text.length !== 300_000 || text !== content(text.charAt(0))) throw new Error('torn')
      }
    }
    const readers = [reader(), reader()]
    for (const letter of 'bcdefghijklmnopqrstuvwxyz') await publish(publisher, [{ path, content: content(letter) }])
    writing = false
    await Promise.all(readers)
    expect(reads).toBeGreaterThan(20)
  })

  test('that fails half way puts back what it had changed', async () => {
    const root = tempDir()
    const publisher = publisherAt(root)
    const files = (content: string) => ['a', 'b', 'c'].map((name) => ({ path: join(root, name), content }))
    await publish(publisher, files('old'))
    const stage = await publisher.stage(files('new'))
    rmSync(stage.files[2]?.stagedPath ?? '')
    await expect(stage.commit()).rejects.toThrow(/putting in place .*c failed: ENOENT/)
    expect(files('').map(({ path }) => readFileSync(path, 'utf8'))).toEqual(['old', 'old', 'old'])
    expect(leftovers(root)).toEqual([])
    expect(existsSync(join(root, '.hostler/journal.json'))).toBe(false)
    expect((await publish(publisher, files('new'))).changed).toHaveLength(3)
  })
})

describe('the lock', () => {
  test('keeps a second Hostler out of the folder until the first is gone', async () => {
    const root = tempDir()
    const first = publisherAt(root)
    const second = publisherAt(root)
    await first.recover()
    await expect(second.recover()).rejects.toMatchObject({ code: 'PUBLISH_LOCKED' })
    await first.close()
    await expect(second.recover()).resolves.toEqual({ mended: [] })
  })

  test('works in a folder whose path is longer than the address of a socket', async () => {
    const root = join(tempDir(), 'long'.repeat(30))
    const first = publisherAt(root)
    await publish(first, [{ path: join(root, 'a'), content: '' }])
    await expect(publisherAt(root).recover()).rejects.toMatchObject({ code: 'PUBLISH_LOCKED' })
  })
})

describe('recovery', () => {
  test('ignores a journal or a list that somebody else has written over', async () => {
    const root = tempDir()
    mkdirSync(join(root, '.hostler'))
    writeFileSync(join(root, '.hostler/journal.json'), '{"steps":[{"target":')
    writeFileSync(join(root, '.hostler/manifest.json'), '{"files":[7,null]}')
    const publisher = publisherAt(root)
    expect(await publisher.recover()).toEqual({ mended: [] })
    await publish(publisher, [{ path: join(root, 'a'), content: 'a' }])
    expect(readFileSync(join(root, 'a'), 'utf8')).toBe('a')
  })
})
