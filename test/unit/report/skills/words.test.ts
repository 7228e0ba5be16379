import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { languageOf } from '../../../../examples/report/skills/language.ts'
import { MAX_PROSE, plainInline, proseOf, sample } from '../../../../examples/report/skills/prose.ts'
import { sentencesOf, shorten, wordsOf } from '../../../../examples/report/skills/words.ts'

const prose = (path: string, text: string): string[] =>
  proseOf(text, languageOf(path, text)).map((paragraph) => paragraph.text)

describe('words', () => {
  test('are runs of letters, digits and marks, with what holds them together', () => {
    assert.deepEqual(
      [...wordsOf("The node's peer-to-peer mesh_1, v3.2! déjà-vu")],
      ['The', 'node', 'peer-to-peer', 'mesh_1', 'v3.2', 'déjà-vu'],
    )
  })

  test('are found in scripts without spaces, and in Arabic', () => {
    assert.deepEqual([...wordsOf('消息代理负责工作')], ['消息', '代理', '负责', '工作'])
    assert.ok([...wordsOf('これはテストです')].includes('テスト'))
    assert.deepEqual([...wordsOf('مرحبا بالعالم')], ['مرحبا', 'بالعالم'])
  })
})

describe('sentences', () => {
  test('end where they end, not at an abbreviation or inside a number', () => {
    assert.deepEqual(sentencesOf('It takes e.g. 3.5 s. Dr. Smith saw it! Really? (Yes.) End'), [
      'It takes e.g. 3.5 s.',
      'Dr. Smith saw it!',
      'Really?',
      '(Yes.)',
      'End',
    ])
    assert.deepEqual(sentencesOf('第一句。第二句！'), ['第一句。', '第二句！'])
  })

  test('of any text hold all of it but white space, and none is much longer than the limit', () => {
    const text = fc.string({
      unit: fc.constantFrom('a', 'B', '.', ' ', '。', '\u00a0', 'é', 'Dr.', '🦊'),
      maxLength: 300,
    })
    const bare = (value: string): string => value.replace(/\s/g, '')
    fc.assert(fc.property(text, (value) => assert.equal(bare(sentencesOf(value).join('')), bare(value))))
    for (const sentence of sentencesOf('x'.repeat(100_000))) assert.ok(sentence.length <= 2 * 4096)
  })

  test('are cut between words, with an ellipsis, and never inside a character', () => {
    assert.equal(shorten('one two three', 13), 'one two three')
    assert.equal(shorten('one two three', 12), 'one two…')
    assert.equal(shorten('🦊🦊🦊', 4), '🦊…')
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 2, max: 30 }), (value, limit) => {
        const short = shorten(value, limit)
        assert.ok(short.length <= limit && short.isWellFormed())
      }),
    )
  })
})

describe('prose', () => {
  test('of Markdown is its paragraphs, items and long cells without markup', () => {
    const text = [
      '---',
      'title: no',
      '---',
      '# Head',
      '',
      'Two *lines*',
      'of [text](x.md).',
      '',
      '- item **one**',
      '- [x] item two',
      '  goes on',
      '',
      '| a | b |',
      '|---|---|',
      '| no | this cell is long enough to be a sentence of prose |',
      '',
      '```',
      'no code',
      '```',
      '',
      '> a quote',
      '',
      '[ref]: http://no',
    ].join('\n')
    assert.deepEqual(prose('a.md', text), [
      'Head',
      'Two lines of text.',
      'item one',
      'item two goes on',
      'this cell is long enough to be a sentence of prose',
      'a quote',
    ])
  })

  test('keeps what stands in code spans', () => {
    assert.equal(
      plainInline('use `Map<K, V>` and `a*b*c`, not <b>that</b> &amp; \\*this\\*'),
      'use Map<K, V> and a*b*c, not that & *this*',
    )
    assert.equal(plainInline('2*3*4 snake_case_name __strong__ ~~old~~'), '234 snake_case_name strong old')
  })

  test('joins lines without a space where the script has none', () => {
    assert.deepEqual(prose('a.txt', '消息代理\n负责路由\n'), ['消息代理负责路由'])
  })

  test('of source is its comments, without licences, directives and code', () => {
    const text = [
      '#!/usr/bin/env node',
      '/* Copyright 2024 Nobody. All rights reserved. */',
      '// eslint-disable',
      '/**',
      ' * What it does.',
      ' * @param x no',
      ' */',
      '// const old = f(x);',
      'const a = 1',
      '//#region here',
      'test("names what it should do", () => {})',
    ].join('\n')
    assert.deepEqual(prose('a.ts', text), ['What it does.', 'names what it should do.'])
    assert.deepEqual(prose('a.sh', '#!/bin/sh\n# What it does.\n'), ['What it does.'])
  })

  test('of HTML is its text', () => {
    assert.deepEqual(prose('a.html', '<p>One <b>two</b></p><script>no()</script><p>three</p><!-- no -->'), [
      'One two',
      'three',
    ])
  })

  test('of a long document is taken from its beginning and from stretches of the rest', () => {
    const text = `start ${'x'.repeat(3 * MAX_PROSE)} end`
    assert.equal(sample('y'.repeat(MAX_PROSE)).length, MAX_PROSE)
    const taken = sample(text)
    assert.ok(taken.length <= MAX_PROSE + 10 && taken.startsWith('start') && taken.endsWith(' end'))
  })
})
