import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from '@jest/globals'
import { type CheckedFile, createChecker } from '../../../src/proxies/haproxy/checker.js'
import { describeHaproxys } from '../../support/haproxy-bins.js'
import { tempDir } from '../../support/temp.js'

const BASE = `defaults
    mode http
    timeout connect 1s
    timeout client 1s
    timeout server 1s
frontend web
    bind 127.0.0.1:18999
`

/** The HAProxy that the suite under way runs on. */
let bin = ''

/** Writes files as `final name → staged text`; what is not staged lies in place. */
function stage(texts: Record<string, string>, live: Record<string, string> = {}) {
  const dir = tempDir()
  const scratch = tempDir()
  for (const [name, text] of Object.entries(live)) writeFileSync(join(dir, name), text.replaceAll('DIR', dir))
  const files: CheckedFile[] = Object.entries(texts).map(([name, text]) => {
    const readPath = join(dir, `.${name}.staged`)
    writeFileSync(readPath, text.replaceAll('DIR', dir))
    return { path: join(dir, name), readPath, load: name.endsWith('.cfg') }
  })
  const check = (env: Record<string, string> = {}, options: { bin?: string; timeoutMs?: number } = {}) =>
    createChecker({
      bin: options.bin ?? bin,
      timeoutMs: options.timeoutMs ?? 10_000,
      env: Object.fromEntries(Object.entries(env).map(([name, value]) => [name, value.replaceAll('DIR', dir)])),
    }).check(files, scratch, new AbortController().signal)
  return { dir, scratch, check }
}

describeHaproxys([], 'checker', (program) => {
  beforeAll(() => {
    bin = program.bin
  })

  test('accepts a good set', async () => {
    const { check } = stage({ 'base.cfg': BASE, 'backends.cfg': 'backend a\n    server s 127.0.0.1:1\n' })
    expect(await check()).toEqual({ ok: true, warnings: [] })
  })

  test('blames the backends whose lines are wrong, in final paths and lines', async () => {
    const { check, dir } = stage({
      'base.cfg': BASE,
      'backends.cfg':
        'backend good\n    server s 127.0.0.1:1\nbackend bad-1\n    nonsense here\nbackend bad-2\n    balance foo\n',
    })
    const verdict = await check()
    expect(verdict).toMatchObject({ ok: false, culprits: ['bad-1', 'bad-2'] })
    expect(verdict).toMatchObject({
      message: expect.stringContaining(`${dir}/backends.cfg:4 (backend bad-1): unknown`),
    })
    expect(verdict).toMatchObject({ output: expect.not.stringContaining('.staged') })
  })

  test('blames a backend that is named in the text only', async () => {
    const { check } = stage({
      'base.cfg': BASE,
      'backends.cfg':
        'backend a\n    use-server zz if TRUE\n    server s 127.0.0.1:1\nbackend b\n    server s 127.0.0.1:1\n',
    })
    expect(await check()).toMatchObject({ ok: false, culprits: ['a'] })
  })

  test('blames a backend whose second server of one name is refused', async () => {
    const { check } = stage({
      'base.cfg': BASE,
      'backends.cfg': 'backend b\n    server s 127.0.0.1:1\n    server s 127.0.0.1:2\n    server t 127.0.0.1:99999\n',
    })
    expect(await check()).toMatchObject({ ok: false, culprits: ['b'] })
  })

  test('a long message keeps its end, where HAProxy says what it found', async () => {
    const { check } = stage({ 'base.cfg': `${BASE}    http-response nonsense here\n` })
    expect(await check()).toMatchObject({ message: expect.stringMatching(/expects .* … .*nonsense/) })
  })

  test('blames no backend for a mistake in a frontend', async () => {
    const { check } = stage({ 'base.cfg': `${BASE}    default_backend nowhere\n`, 'backends.cfg': 'backend a\n' })
    const verdict = await check()
    expect(verdict).toMatchObject({ ok: false, culprits: [], message: expect.stringContaining("'nowhere'") })
  })

  test('reads staged maps rather than the live ones', async () => {
    const use = '    use_backend %[req.hdr(host),map_str_int(DIR/domain.map)]\n'
    const broken = stage(
      { 'base.cfg': BASE + use, 'domain.map': 'a.example not-a-number\n' },
      { 'domain.map': 'a.example 1\n' },
    )
    expect(await broken.check()).toMatchObject({
      ok: false,
      message: expect.stringContaining(`${broken.dir}/base.cfg:8`),
      output: expect.not.stringContaining(broken.scratch),
    })
    const mended = stage(
      { 'base.cfg': BASE + use, 'domain.map': 'a.example 1\n' },
      { 'domain.map': 'a.example not-a-number\n' },
    )
    expect(await mended.check()).toMatchObject({ ok: true })
    expect(readdirSync(mended.scratch)).toHaveLength(1)
  })

  test('reads staged maps that the environment names', async () => {
    const use = '    use_backend %[req.hdr(host),map_str_int("${MAP}")]\n'
    const { check } = stage({ 'base.cfg': BASE + use, 'domain.map': 'x 1\n' }, { 'domain.map': 'x no-number\n' })
    expect(await check({ MAP: 'DIR/domain.map' })).toMatchObject({ ok: true })
  })

  test('leaves longer names that start alike alone', async () => {
    const { check, scratch } = stage(
      {
        'base.cfg': `${BASE}    # DIR/domain.map.bak DIR/domain.map\n    acl x src -f DIR/domain.map2\n`,
        'domain.map': '',
      },
      { 'domain.map2': '127.0.0.1\n' },
    )
    expect(await check()).toMatchObject({ ok: true })
    const copy = readFileSync(join(scratch, '0-base.cfg'), 'utf8')
    expect(copy).toMatch(/domain\.map\.bak \S+\.domain\.map\.staged\n.*domain\.map2\n/)
  })

  test('follows lists that refer to other staged files', async () => {
    const { check, scratch } = stage({
      'base.cfg': `${BASE}    use_backend x if { src -f DIR/list }\nbackend x\n    # DIR/list\n`,
      list: '# DIR/inner\n127.0.0.1\n',
      inner: '',
    })
    expect(await check()).toMatchObject({ ok: true })
    expect(readFileSync(join(scratch, '0-base.cfg'), 'utf8')).toContain(join(scratch, '1-list'))
  })

  test('says what to write instead of markers that older images filled in', async () => {
    const { check } = stage({
      'haproxy.cfg': `global\n    log #SYSLOG_HOST# local0\n${BASE}#ENABLE_SSL# bind :443\n    reqadd X-Forwarded-Proto:\\ https\n`,
    })
    const verdict = await check()
    expect(verdict).toMatchObject({ ok: false })
    const { message } = verdict as { message: string }
    expect(message).toContain('haproxy.cfg:2 has `#SYSLOG_HOST#`')
    expect(message).toContain('"${SYSLOG_HOST}"')
    expect(message).toContain('.if streq("$ENABLE_SSL",true)')
    expect(message).toContain('http-request set-header')
  })

  test('passes warnings on', async () => {
    const { check } = stage({ 'base.cfg': BASE, 'b.cfg': 'backend a\n    mode tcp\n    cookie x insert\n' })
    const verdict = await check()
    expect(verdict).toMatchObject({ ok: true, warnings: [expect.stringContaining("backend 'a'")] })
    expect(verdict).toMatchObject({ warnings: [expect.not.stringContaining('Configuration file is valid')] })
  })

  test('a configuration without any listener is refused in words', async () => {
    const { check } = stage({ 'b.cfg': 'backend a\n    mode tcp\n' })
    expect(await check()).toMatchObject({ ok: false, message: expect.stringContaining('no listener') })
  })
})

describe('checker without HAProxy', () => {
  test('a program that is missing is named with the remedy', async () => {
    const { check } = stage({ 'base.cfg': BASE })
    await expect(check({}, { bin: '/nowhere/haproxy' })).rejects.toMatchObject({
      code: 'HAPROXY_MISSING',
      message: expect.stringContaining('HAPROXY_BIN'),
    })
  })

  test('a program that hangs is ended', async () => {
    const { check, dir } = stage({ 'base.cfg': BASE })
    const bin = join(dir, 'hang')
    writeFileSync(bin, '#!/bin/sh\nexec sleep 60\n', { mode: 0o755 })
    await expect(check({}, { bin, timeoutMs: 200 })).rejects.toMatchObject({ code: 'HAPROXY_CHECK_TIMEOUT' })
  })

  test('a program that is killed gives no verdict', async () => {
    const { check, dir } = stage({ 'base.cfg': BASE })
    const bin = join(dir, 'die')
    writeFileSync(bin, '#!/bin/sh\nkill -9 $$\n', { mode: 0o755 })
    await expect(check({}, { bin })).rejects.toMatchObject({ code: 'HAPROXY_CHECK_DIED' })
  })
})
