import { describe, expect, test } from '@jest/globals'
import { formatPreview } from '../../src/cli/plan.js'
import type { StatePreview } from '../../src/reconcile/preview.js'
import { calmProxy, samplePreview } from '../support/previews.js'

const print = (preview: StatePreview, width = 100): string => formatPreview(preview, { color: false, width, now: 0 })

const steps = [
  { action: 'change', text: 'move server hello/hello-1 to 127.0.0.1:9011' },
  { action: 'add', text: 'add server late/late-1 at 127.0.0.1:9006 [hostler_spare_001]' },
  { action: 'add', text: 'add late.ci.example.com → late to domain.map' },
  { action: 'remove', text: 'drain and remove server shop/shop-2' },
] as const

const files = ['/out/domain.map', '/out/haproxy-backends.cfg']

describe('hostler plan', () => {
  test('says on two lines that there is nothing to do', () => {
    expect(print(samplePreview())).toBe(`Hostler 0.1.0  nothing to do  domain ci.example.com

● haproxy  nothing to do: it has what the files say
`)
  })

  test('lists the steps at run time with what each does, and the files; one list for each proxy', () => {
    const haproxy = calmProxy({ how: 'runtime', steps, files })
    const traefik = calmProxy({ name: 'traefik', how: 'watched', files: ['/etc/traefik/dynamic/hostler.yml'] })
    expect(print(samplePreview(haproxy, traefik))).toBe(`Hostler 0.1.0  a change is due  domain ci.example.com

○ haproxy  4 steps at run time, no reload
    ~ move server hello/hello-1 to 127.0.0.1:9011
    + add server late/late-1 at 127.0.0.1:9006 [hostler_spare_001]
    + add late.ci.example.com → late to domain.map
    - drain and remove server shop/shop-2
    writes domain.map, haproxy-backends.cfg

○ traefik  follows the new file by itself
    writes hostler.yml
`)
  })

  test('says why it is a reload, and that it waits for its turn', () => {
    const why = 'frontend hostler has changed: http-request deny deny_status 403 if { path_beg /-/health }'
    expect(
      print(samplePreview(calmProxy({ how: 'reload', why, waitMs: 4200 })), 80),
    ).toBe(`Hostler 0.1.0  a reload is due  domain ci.example.com

○ haproxy  reload in 4s, when its turn comes, because frontend hostler has
           changed: http-request deny deny_status 403 if { path_beg /-/health }
`)
    expect(print(samplePreview(calmProxy({ how: 'reload', why, waitMs: 20 })))).toContain('reload in 1s, when')
    expect(print(samplePreview(calmProxy({ how: 'reload', why })))).toContain('haproxy  reload, because frontend')
  })

  test('says what is in the way, once, and what is left out', () => {
    const refused = [{ backend: 'app-r9', reason: "unknown keyword 'foo'" }]
    const failing = calmProxy({ how: 'runtime', steps: steps.slice(0, 1), error: 'the disk is full', refused })
    const why = 'template _backend.hbs line 1: no field is called "nmae" here. Did you mean name?'
    const broken = calmProxy({ name: 'traefik', how: 'blocked', why, error: why })
    const problems = ['source docker: cannot be reached']
    expect(
      print({ ...samplePreview(failing, broken), problems }, 0),
    ).toBe(`Hostler 0.1.0  something is in the way  domain ci.example.com
  source docker: cannot be reached

✗ haproxy  1 step at run time, no reload
    ~ move server hello/hello-1 to 127.0.0.1:9011
    leaves out app-r9: unknown keyword 'foo'
    the last attempt failed: the disk is full

✗ traefik  nothing can be done: template _backend.hbs line 1: no field is called "nmae" here. Did you mean name?
`)
  })

  test('has words for a proxy that does not run, and for files that it need not know of', () => {
    expect(print(samplePreview(calmProxy({ how: 'start' })))).toContain('○ haproxy  start: it does not run\n')
    expect(print(samplePreview(calmProxy({ how: 'written', files })))).toContain(
      '○ haproxy  nothing to do but to write files\n    writes domain.map, haproxy-backends.cfg\n',
    )
  })

  test('shows forty steps of many, and counts the rest', () => {
    const many = Array.from({ length: 15_000 }, (_, n) => ({ action: 'add', text: `add server s/s-${n}` }) as const)
    const text = print(samplePreview(calmProxy({ how: 'runtime', steps: many })))
    expect(text).toContain('15000 steps at run time')
    expect(text).toMatch(/s-39\n {6}and 14960 more; --json has them all\n$/)
  })

  test('colours nothing but what it prints anyway, and keeps to the width of the terminal', () => {
    const preview = samplePreview(calmProxy({ how: 'runtime', steps, files, error: 'x '.repeat(100) }))
    const colored = formatPreview(preview, { color: true, width: 70, now: 0 })
    expect(colored).toMatch(/\u001b\[32m\+\u001b\[0m add server/)
    expect(colored.replace(/\u001b\[\d+m/g, '')).toBe(print(preview, 70))
    const short = print(preview, 70).split('\n')
    for (const line of short) expect(line.length).toBeLessThanOrEqual(70)
  })

  test('lets no text of anybody steer the terminal', () => {
    const attack = 'x\u001b[2J\u001b]0;title\u0007\r\n\u202eevil'
    const refused = [{ backend: 'b', reason: 'r' }]
    const proxies = [
      calmProxy({ how: 'runtime', steps, files, refused, error: 'e' }),
      calmProxy({ how: 'reload', why: 'w' }),
    ]
    const enums = ['how', 'action']
    const poisoned = JSON.parse(JSON.stringify({ ...samplePreview(...proxies), problems: ['p'] }), (key, value) =>
      typeof value === 'string' && !enums.includes(key) ? value + attack : value,
    ) as StatePreview
    expect(print(poisoned)).not.toMatch(/[^\P{C}\n]/u)
  })
})
