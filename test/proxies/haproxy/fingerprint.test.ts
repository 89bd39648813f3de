import { mkdirSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { createFingerprint } from '../../../src/proxies/haproxy/fingerprint.js'
import { tempDir } from '../../support/temp.js'

describe('fingerprint', () => {
  test('changes with the content of a file and comes back with it', async () => {
    const path = join(tempDir(), 'a')
    const { of } = createFingerprint()
    writeFileSync(path, 'one')
    const first = await of([path])
    writeFileSync(path, 'two')
    expect(await of([path])).not.toBe(first)
    writeFileSync(path, 'one')
    expect(await of([path])).toBe(first)
  })

  test('a file touched without a change keeps it', async () => {
    const path = join(tempDir(), 'a')
    const { of } = createFingerprint()
    writeFileSync(path, 'one')
    const first = await of([path])
    utimesSync(path, 1, 1)
    expect(await of([path])).toBe(first)
  })

  test('changes when a file comes, goes or is renamed in a folder', async () => {
    const dir = tempDir()
    const { of } = createFingerprint()
    const empty = await of([dir])
    writeFileSync(join(dir, 'a.pem'), 'x')
    const one = await of([dir])
    renameSync(join(dir, 'a.pem'), join(dir, 'b.pem'))
    const renamed = await of([dir])
    rmSync(join(dir, 'b.pem'))
    expect(new Set([empty, one, renamed]).size).toBe(3)
    expect(await of([dir])).toBe(empty)
  })

  test('folders in a folder do not count', async () => {
    const dir = tempDir()
    const { of } = createFingerprint()
    const empty = await of([dir])
    mkdirSync(join(dir, 'sub'))
    writeFileSync(join(dir, 'sub', 'x'), 'x')
    expect(await of([dir])).toBe(empty)
  })

  test('a staged file counts as if it were in place', async () => {
    const dir = tempDir()
    const { of } = createFingerprint()
    writeFileSync(join(dir, 'a'), 'old')
    writeFileSync(join(dir, 'staged'), 'new')
    const staged = await of([{ path: join(dir, 'a'), readPath: join(dir, 'staged') }])
    expect(await of([join(dir, 'a')])).not.toBe(staged)
    renameSync(join(dir, 'staged'), join(dir, 'a'))
    expect(await of([join(dir, 'a')])).toBe(staged)
  })

  test('a text counts as if it were in place, whether or not a file is there', async () => {
    const [path, other] = [join(tempDir(), 'a'), join(tempDir(), 'b')]
    const { of } = createFingerprint()
    writeFileSync(other, 'other')
    const before = await of([{ path, content: 'ä new' }, other])
    writeFileSync(path, 'old')
    expect(await of([{ path, content: 'ä new' }, other])).toBe(before)
    expect(await of([path, other])).not.toBe(before)
    writeFileSync(path, 'ä new')
    expect(await of([path, other])).toBe(before)
  })

  test('a missing file is part of it', async () => {
    const path = join(tempDir(), 'later')
    const { of } = createFingerprint()
    const missing = await of([path])
    writeFileSync(path, '')
    expect(await of([path])).not.toBe(missing)
  })

  test('a change of the same size at the same time is seen while the file is young', async () => {
    const path = join(tempDir(), 'a')
    const { of } = createFingerprint()
    writeFileSync(path, 'one')
    const { atime, mtime } = statSync(path)
    const first = await of([path])
    writeFileSync(path, 'two')
    utimesSync(path, atime, mtime)
    expect(await of([path])).not.toBe(first)
  })
})
