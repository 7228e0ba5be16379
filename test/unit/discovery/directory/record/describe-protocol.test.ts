import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as z from 'zod'
import { ProtocolSchema } from '../../../../../discovery/directory/record/agent-record.ts'
import { describe } from '../../../../../discovery/directory/record/describe-protocol.ts'
import { defineProtocol } from '../../../../../protocols/define.ts'

test('a contract is described with its kinds, bounds and JSON Schemas', () => {
  const protocol = defineProtocol({
    name: 'summarize',
    version: '1.2.0',
    methods: {
      once: {
        request: z.object({ text: z.string(), words: z.number().default(100) }),
        response: z.string(),
        timeoutMs: 5000,
        capability: 'summarize',
        idempotent: true,
        description: 'One\nparagraph',
      },
      live: { request: z.string(), stream: z.object({ delta: z.string() }) },
      note: { request: z.instanceof(Uint8Array), oneWay: true, content: 'bytes' },
    },
  })
  const described = describe(protocol)
  assert.deepEqual(described, {
    name: 'summarize',
    version: '1.2.0',
    methods: [
      {
        name: 'once',
        kind: 'unary',
        capability: 'summarize',
        idempotent: true,
        timeoutMs: 5000,
        description: 'One paragraph',
        request: {
          type: 'object',
          properties: { text: { type: 'string' }, words: { default: 100, type: 'number' } },
          required: ['text'],
        },
        response: { type: 'string' },
      },
      {
        name: 'live',
        kind: 'stream',
        request: { type: 'string' },
        response: {
          type: 'object',
          properties: { delta: { type: 'string' } },
          required: ['delta'],
          additionalProperties: false,
        },
      },
      { name: 'note', kind: 'one-way', content: 'bytes', request: {} },
    ],
  })
  assert.deepEqual(ProtocolSchema.parse(described), described)
})

test('a schema that cannot be written as JSON is left out, and the method stays', () => {
  const protocol = defineProtocol({
    name: 'odd',
    version: '1.0.0',
    methods: { m: { request: z.string().meta({ examples: [1n] }), response: z.string() } },
  })
  assert.deepEqual(describe(protocol).methods, [{ name: 'm', kind: 'unary', response: { type: 'string' } }])
})
