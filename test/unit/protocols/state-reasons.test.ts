/** What STA003 means, by its reason. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ParleyError } from '../../../protocols/errors.ts'
import { STATE_REASONS } from '../../../protocols/state-reasons.ts'

const ROOT = new URL('../../..', import.meta.url).pathname

const sources = (folder: string): string[] =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(ROOT, folder, name))

/** The text of each `new ParleyError('STA003', …)`, up to its closing bracket. */
const makings = (text: string): string[] =>
  [...text.matchAll(/new ParleyError\(\s*'STA003'/g)].map(({ index }) => {
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
