import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createSectionReader, showLine } from '../../../../src/proxies/haproxy/runtime/sections.js'
import { readLine, VARIABLE, wordsOf } from '../../../../src/proxies/haproxy/runtime/sections-words.js'

describe('a line', () => {
  const lines: [line: string, words: string[]][] = [
    ['  bind\t :80   ssl ', ['bind', ':80', 'ssl']],
    ['bind :80 # comment', ['bind', ':80']],
    ['bind :80#comment', ['bind', ':80']],
    ['acl a path "/a b" \'c d\'', ['acl', 'a', 'path', '/a b', 'c d']],
    ["string 'it'\\''s'", ['string', "it's"]],
    ['string "a # b" \'#\' \\#', ['string', 'a # b', '#', '#']],
    ['replace-path ^/a/?(.*) /\\1', ['replace-path', '^/a/?(.*)', '/\\1']],
    ['x a\\ b "\\"" \\x41 \\t', ['x', 'a b', '"', 'A', '\t']],
    ['x \'\\n\' ""', ['x', '\\n', '']],
    [`x "$HOME" '$HOME' $HOME "\\$HOME"`, ['x', `${VARIABLE}$HOME`, '$HOME', '$HOME', '$HOME']],
    ['bind :80\r', ['bind', ':80']],
  ]
  for (const [line, words] of lines) {
    test(`is read as HAProxy reads it: ${JSON.stringify(line)}`, () => {
      expect(wordsOf(readLine(line))).toEqual(words)
    })
  }

  test('is empty when it is blank or a comment', () => {
    expect(['', ' \t', '# a', '   # b', '\r'].map(readLine)).toEqual(['', '', '', '', ''])
  })

  test('whose quotes do not close stays as it is', () => {
    expect(readLine('x "a')).toBe('x "a')
  })

  test('that may hold a password is not shown', () => {
    expect(showLine(readLine('stats auth admin:secret'))).toBe('stats …')
    expect(showLine(readLine('bind "$HOST:80"'))).toBe('bind $HOST:80')
  })
})

describe('sections', () => {
  test('are told apart wherever they stand, with servers only in backends', () => {
    const text =
      '# head\nglobal\n  maxconn 5\n\tlisten x\n server a 1.1.1.1:1\nbackend b from d # c\nserver a 1.1.1.1:1 check\n  mode http\n'
    const sections = createSectionReader()(text)
    expect(
      sections?.map(({ kind, name, rest, lines, servers }) => [
        kind,
        name,
        wordsOf(rest),
        lines.length,
        servers.length,
      ]),
    ).toEqual([
      ['', '', [''], 0, 0],
      ['global', '', [''], 1, 0],
      ['listen', 'x', [''], 1, 0],
      ['backend', 'b', ['from', 'd'], 2, 1],
    ])
  })

  test('that did not change are the same objects in the next text', () => {
    const read = createSectionReader()
    const text = (address: string) =>
      Array.from(
        { length: 400 },
        (_, n) => `backend b${n}\n  mode http\n  server a ${n === 200 ? address : '10.0.0.1'}:80\n`,
      ).join('')
    const before = read(text('10.0.0.1')) ?? []
    const after = read(text('10.0.0.22')) ?? []
    expect(after.length).toBe(400)
    expect(after.filter((section, index) => section !== before[index]).map(({ name }) => name)).toEqual(['b200'])
  })

  test('are the same whether read anew or from what changed', () => {
    const part = fc.constantFrom(
      'backend a\n  mode http\n',
      'backend b\n  server s 10.0.0.1:80\n',
      `backend long\n${'  # comment\n'.repeat(500)}`,
      'frontend f\n  bind :80\n',
      '  option httplog\n',
      '# a comment\n',
      '.if defined(X)\n',
      '.endif\n',
      'backend',
      ' c\n',
      '\n',
    )
    const texts = fc.array(
      fc.array(part, { maxLength: 12 }).map((parts) => parts.join('')),
      { minLength: 2, maxLength: 4 },
    )
    fc.assert(
      fc.property(texts, (versions) => {
        const read = createSectionReader()
        for (const text of versions) expect(read(text)).toEqual(createSectionReader()(text))
      }),
      { numRuns: 500 },
    )
  })

  test('are not made from a text with scopes, quoted keywords or variables that know their line', () => {
    for (const text of [
      '[scope]\nglobal\n',
      '"global"\n',
      'backend a\n  use"-"server x\n',
      'backend a\n  server x "${.LINE}"\n',
    ]) {
      expect(createSectionReader()(text)).toBeUndefined()
    }
  })
})
