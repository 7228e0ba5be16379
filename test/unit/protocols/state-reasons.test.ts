/** Reasons of errors: what STA003 means by its reason, and that no reason is made up. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ERROR_REASONS } from '../../../protocols/error-reasons.ts'
import { CODES, isParleyError, ParleyError } from '../../../protocols/errors.ts'
import { STATE_REASONS } from '../../../protocols/state-reasons.ts'

const ROOT = new URL('../../..', import.meta.url).pathname

const sources = (folder: string): string[] =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(ROOT, folder, name))

/** The text of each `new ParleyError('…', …)` of the code, up to its closing bracket. */
const makings = (text: string, code = 'STA003'): string[] =>
  [...text.matchAll(new RegExp(`new ParleyError\\(\\s*'${code}'`, 'g'))].map(({ index }) => {
    let depth = 0
    for (let at = text.indexOf('(', index); at < text.length; at += 1) {
      if (text[at] === '(') depth += 1
      if (text[at] === ')') depth -= 1
      if (depth === 0) return text.slice(index, at)
    }
    return text.slice(index)
  })

test('severity and recovery follow the reason', () => {
  const of = (reason: string) => {
    const { severity, recovery } = new ParleyError('STA003', 'x', { details: { reason } })
    return [severity, recovery]
  }
  assert.deepEqual(of('version'), ['warning', 'replan'])
  assert.deepEqual(of('no-leader'), ['warning', 'retry_with_backoff'])
  assert.deepEqual(of('disk-full'), ['critical', 'retry_with_backoff'])
  assert.deepEqual(of('damaged'), ['critical', 'none'])
  assert.deepEqual(of('other-mesh'), ['error', 'none'])
  assert.deepEqual(of('of a newer peer'), ['warning', 'replan'])
  assert.deepEqual(of('constructor'), ['warning', 'replan'])
})

test('every STA003 has a reason, and a literal one is in the list', () => {
  const wrong: string[] = []
  for (const file of ['protocols', 'discovery', 'node'].flatMap(sources))
    for (const making of makings(readFileSync(file, 'utf8'))) {
      if (!/reason|error\.details/.test(making)) wrong.push(`${file}: no reason: ${making.slice(0, 100)}`)
      const literal = /reason: '([^']+)'/.exec(making)?.[1]
      if (literal !== undefined && !Object.hasOwn(STATE_REASONS, literal)) wrong.push(`${file}: ${literal}`)
    }
  assert.deepEqual(wrong, [])
})

test('a reason that the sources give literally is one of those of its code', () => {
  const wrong: string[] = []
  const met = new Set<string>()
  for (const file of ['protocols', 'discovery', 'node'].flatMap(sources)) {
    const text = readFileSync(file, 'utf8')
    for (const code of Object.keys(CODES)) {
      const known: Readonly<Record<string, unknown>> =
        Object.entries(ERROR_REASONS).find(([of]) => of === code)?.[1] ?? {}
      for (const making of makings(text, code))
        for (const [, reason = ''] of making.matchAll(/\breason: '([^']+)'/g)) {
          met.add(code)
          if (!Object.hasOwn(known, reason)) wrong.push(`${file}: ${code} ${reason}`)
        }
    }
  }
  assert.deepEqual(wrong, [])
  assert.ok(met.size >= 7, [...met].join(' '))
})

test('an error tells its reason where this version knows it for the code', () => {
  const of = (code: keyof typeof CODES, reason: unknown) => new ParleyError(code, 'x', { details: { reason } }).reason
  assert.equal(of('SEC001', 'expired'), 'expired')
  assert.equal(of('STA003', 'version'), 'version')
  assert.equal(of('SEC001', 'version'), undefined)
  assert.equal(of('APP001', 'expired'), undefined)
  assert.equal(of('SEC001', 'constructor'), undefined)
  assert.equal(of('SEC001', 7), undefined)
  const error: unknown = new ParleyError('STA002', 'x', { details: { reason: 'unproven' } })
  if (!isParleyError(error, 'STA002')) assert.fail()
  // By its type there is no other one.
  const reason: 'unproven' | undefined = error.reason
  assert.equal(reason, 'unproven')
})
