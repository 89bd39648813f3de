import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, test } from '@jest/globals'
import { pino } from 'pino'
import type { Publisher } from '../../src/publish/files.js'
import { createPublisher } from '../../src/publish/publisher.js'
import { compiled } from '../support/compiled.js'
import { tempDir } from '../support/temp.js'

const CHILD = fileURLToPath(new URL('publish-child.mjs', import.meta.url))
const mounted: string[] = []
const open: Publisher[] = []
afterEach(async () => {
  for (const publisher of open.splice(0)) await publisher.close()
  for (const path of mounted.splice(0).reverse()) execFileSync('umount', [path])
})

function mount(path: string, ...options: string[]): void {
  execFileSync('mount', [...options, path], { stdio: 'pipe' })
  mounted.push(path)
}

function canMount(): boolean {
  try {
    const path = tempDir()
    execFileSync('mount', ['-t', 'tmpfs', 'none', path], { stdio: 'pipe' })
    execFileSync('umount', [path])
    return true
  } catch {
    return false
  }
}

function publisherAt(root: string) {
  const warnings: Record<string, unknown>[] = []
  const log = pino({ level: 'warn' }, { write: (line) => void warnings.push(JSON.parse(line)) })
  const publisher = createPublisher({ root, log })
  open.push(publisher)
  const publish = async (files: Record<string, string>) => {
    const rendered = Object.entries(files).map(([name, content]) => ({ path: join(root, name), content }))
    return (await publisher.stage(rendered)).commit()
  }
  return { publisher, publish, warnings }
}

const read = (...path: string[]) => readFileSync(join(...path), 'utf8')
const staged = (folder: string) => readdirSync(join(folder, '.hostler')).filter((name) => name.endsWith('.new'))

const describeMounts = canMount() ? describe : describe.skip
describeMounts('on real mounts (needs root)', () => {
  test('a full disk is an error, leaves the old files and nothing half staged, and is got over', async () => {
    const root = tempDir()
    mount(root, '-t', 'tmpfs', '-o', 'size=64k', 'none')
    const { publish } = publisherAt(root)
    await publish({ a: 'old', b: 'old' })
    await expect(publish({ a: 'new', b: 'n'.repeat(100_000) })).rejects.toThrow(/ENOSPC; free some space/)
    expect([read(root, 'a'), read(root, 'b'), staged(root)]).toEqual(['old', 'old', []])
    await publish({ a: 'new', b: 'n'.repeat(10_000) })
    expect(read(root, 'a')).toBe('new')
  })

  test('a disk that is full before the journal is written leaves the old set', async () => {
    const root = tempDir()
    mount(root, '-t', 'tmpfs', '-o', 'size=64k', 'none')
    const { publisher, publish } = publisherAt(root)
    await publish({ a: 'old' })
    const stage = await publisher.stage([{ path: join(root, 'a'), content: 'new' }])
    expect(() => writeFileSync(join(root, 'filler'), 'x'.repeat(100_000))).toThrow('ENOSPC')
    await expect(stage.commit()).rejects.toThrow(/journal.json.new failed: ENOSPC/)
    expect([read(root, 'a'), staged(root)]).toEqual(['old', []])
    execFileSync('rm', [join(root, 'filler')])
    await publish({ a: 'new' })
    expect(read(root, 'a')).toBe('new')
  })

  test('a file that is a mount of its own is written in place, with one warning', async () => {
    const root = tempDir()
    const outside = join(tempDir(), 'outside.cfg')
    writeFileSync(outside, 'a long old content')
    writeFileSync(join(root, 'a.cfg'), '')
    mount(join(root, 'a.cfg'), '--bind', outside)
    const { publish, warnings } = publisherAt(root)
    await publish({ 'a.cfg': 'one', 'b.cfg': 'one' })
    expect([read(outside), read(root, 'b.cfg')]).toEqual(['one', 'one'])
    const published = await publish({ 'a.cfg': 'two and longer', 'b.cfg': 'two' })
    expect(read(outside)).toBe('two and longer')
    await published.rollback()
    expect([read(outside), read(root, 'b.cfg'), staged(root)]).toEqual(['one', 'one', []])
    await publish({ 'b.cfg': 'three' })
    expect(read(outside)).toBe('one')
    expect(warnings.map((warning) => warning['msg'])).toEqual([
      expect.stringContaining('mount its folder instead'),
      expect.stringContaining('is a mount of its own and stays'),
    ])
  })

  test('a folder that is mounted read-only is an error, until it is writable again', async () => {
    const root = tempDir()
    mount(root, '-t', 'tmpfs', 'none')
    const { publish } = publisherAt(root)
    await publish({ a: 'old' })
    execFileSync('mount', ['-o', 'remount,ro', root])
    await expect(publish({ a: 'new' })).rejects.toThrow(/EROFS; mount that folder writable/)
    expect((await publish({ a: 'old' })).changed).toEqual([])
    expect(read(root, 'a')).toBe('old')
    execFileSync('mount', ['-o', 'remount,rw', root])
    await publish({ a: 'new' })
    expect(read(root, 'a')).toBe('new')
  })

  test('a folder that is read-only from the start is an error that says so', async () => {
    const root = tempDir()
    mount(root, '-t', 'tmpfs', '-o', 'ro', 'none')
    await expect(publisherAt(root).publish({ a: '' })).rejects.toThrow(/making folder .* EROFS; mount that folder/)
  })
})

const describeRoot = process.getuid?.() === 0 ? describe : describe.skip
describeRoot('as a user without rights (needs root to become one)', () => {
  const program = compiled('publish', 'lib')
  const child = `${program}/publish-child.mjs`
  writeFileSync(child, read(CHILD))

  function publishAsNobody(root: string, sets: Record<string, string>[]) {
    const rendered = sets.map((set) =>
      Object.entries(set).map(([name, content]) => ({ path: join(root, name), content })),
    )
    const orders = join(program, 'orders.json')
    writeFileSync(orders, JSON.stringify({ root, sets: rendered, rounds: sets.length }))
    const output = execFileSync(process.execPath, [child, program, orders], {
      uid: 65534,
      gid: 65534,
      encoding: 'utf8',
    })
    return JSON.parse(output.trim().split('\n').at(-1) ?? '') as {
      error?: { code: string; message: string }
      warnings: { path: string; message: string }[]
    }
  }

  test('a folder that we may not write to is an error that names our user', () => {
    const root = tempDir()
    chmodSync(root, 0o755)
    writeFileSync(join(root, 'a'), 'old')
    expect(publishAsNobody(root, [{ a: 'new' }]).error).toMatchObject({
      code: 'PUBLISH',
      message: expect.stringContaining('EACCES; let user 65534 write there'),
    })
    expect(read(root, 'a')).toBe('old')
    expect(existsSync(join(root, '.hostler'))).toBe(false)
  })

  test('a file of somebody else becomes ours, with one warning', () => {
    const root = tempDir()
    mkdirSync(join(root, 'in'))
    chmodSync(root, 0o755)
    chownSync(join(root, 'in'), 65534, 65534)
    writeFileSync(join(root, 'in/a'), 'old')
    const { error, warnings } = publishAsNobody(join(root, 'in'), [{ a: '1' }, { a: '2' }])
    expect(error).toBeUndefined()
    expect(warnings).toMatchObject([{ path: join(root, 'in/a'), message: expect.stringContaining('keep its owner') }])
    expect([read(root, 'in/a'), statSync(join(root, 'in/a')).uid]).toEqual(['2', 65534])
  })
})
