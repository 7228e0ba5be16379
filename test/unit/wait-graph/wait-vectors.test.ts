/** Messages of who waits for whom as others write them (test/interop/vectors/waits.json): what is good is taken, what is bad is refused. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { decode } from 'cborg'
import * as z from 'zod'
import { waitsProtocol } from '../../../protocols/wait-graph/contract.ts'

const Cases = z.object({ good: z.array(z.string()).min(1), bad: z.array(z.string()).min(1) })
const { protocol } = z
  .object({ protocol: z.record(z.string(), Cases) })
  .parse(JSON.parse(readFileSync(new URL('../../interop/vectors/waits.json', import.meta.url), 'utf8')))
const { request, response } = waitsProtocol.methods.probe
const SCHEMAS: Readonly<Record<string, z.ZodType>> = { 'probe request': request, 'probe response': response }

test('each message has vectors, and is taken as it was written, or refused', () => {
  assert.deepEqual(Object.keys(protocol).sort(), Object.keys(SCHEMAS).sort())
  for (const [name, { good, bad }] of Object.entries(protocol)) {
    const read = (hex: string): unknown => decode(Buffer.from(hex, 'hex'))
    for (const one of good) assert.deepEqual(SCHEMAS[name]?.parse(read(one)), read(one), `${name} ${one}`)
    for (const one of bad) assert.equal(SCHEMAS[name]?.safeParse(read(one)).success, false, `${name} ${one}`)
  }
})
