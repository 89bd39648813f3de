import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createImageReader } from '../../../../src/proxies/haproxy/runtime/image.js'

const SECTIONS = [
  'defaults\n  mode http',
  'defaults named\n  mode tcp',
  'frontend www\n  bind :80',
  'listen one\n  bind :81',
  '.if defined(X)',
  '.endif',
  ...['one', 'two', 'three', 'four'].flatMap((name) => [
    `backend ${name}\n  server a 10.0.0.1:80`,
    `backend ${name}\n  server b 10.0.0.2:80`,
    `backend ${name} from named\n  server a 10.0.0.1:80`,
  ]),
]

test('a layout says the same whatever was read before', () => {
  const section = fc.constantFrom(...SECTIONS)
  const step = fc.record({ at: fc.nat(8), remove: fc.nat(1), add: fc.array(section, { maxLength: 2 }) })
  fc.assert(
    fc.property(fc.array(section, { maxLength: 6 }), fc.array(step, { maxLength: 6 }), (start, steps) => {
      const read = createImageReader()
      const images = (sections: readonly string[]) => new Map([['haproxy.cfg', `${sections.join('\n')}\n`]])
      let sections: readonly string[] = start
      read(images(sections), ['haproxy.cfg'])
      for (const { at, remove, add } of steps) {
        sections = sections.toSpliced(at, remove, ...add)
        const image = images(sections)
        const [now, fresh] = [read(image, ['haproxy.cfg']), createImageReader()(image, ['haproxy.cfg'])]
        expect(now).toEqual(fresh)
        expect(now.frame).toEqual(fresh.frame)
      }
    }),
    { numRuns: 2000 },
  )
})
