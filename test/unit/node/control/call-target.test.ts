import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ProtocolRecord } from '../../../../discovery/directory/record/agent-record.ts'
import type { Agent } from '../../../../discovery/directory/tables/agent-change.ts'
import { type CallTargetName, findCallTarget, parseCallTarget } from '../../../../node/control/call-target.ts'
import { ParleyError } from '../../../../protocols/errors.ts'
import { callerCodec } from '../../../../protocols/wire/payload/contract.ts'
import { recordOf } from '../../../support/directory-tables.ts'

const summarize = (version: string): ProtocolRecord => ({
  name: 'summarize',
  version,
  methods: [
    { name: 'once', kind: 'unary', timeoutMs: 1234, idempotent: true },
    { name: 'live', kind: 'stream' },
    { name: 'note', kind: 'one-way' },
  ],
})
const agent = (peer: string, ...protocols: ProtocolRecord[]): Agent => ({
  peer,
  name: peer,
  state: 'alive',
  connected: true,
  self: false,
  record: recordOf(peer, 1, { protocols }),
})
const wanted = (text: string): CallTargetName => parseCallTarget(text)
const failure = (run: () => unknown): ParleyError => {
  try {
    run()
  } catch (error) {
    if (error instanceof ParleyError) return error
  }
  return assert.fail('it should have thrown a ParleyError')
}

test('a target names a protocol, perhaps a major version, and a method', () => {
  assert.deepEqual(parseCallTarget('summarize.once'), { protocol: 'summarize', major: undefined, method: 'once' })
  assert.deepEqual(parseCallTarget('a-1@2.goOn_3'), { protocol: 'a-1', major: 2, method: 'goOn_3' })
})

test('what names no method is refused with an example', () => {
  for (const text of ['', 'once', '.once', 'Summarize.once', 'a.b.c', 'a@.b', 'a@x.b', 'a.b ', 'a. b']) {
    const error = failure(() => parseCallTarget(text))
    assert.equal(error.code, 'MSG001')
    assert.match(error.hint ?? '', /summarize\.once/)
  }
})

test('the contract that is made has the kind, the time and the version that the record tells', () => {
  const agents = [agent('a', summarize('1.2.0'))]
  const { protocol, method, kind } = findCallTarget(agents, wanted('summarize.once'))
  assert.deepEqual([protocol.name, protocol.version, method, kind], ['summarize', '1.2.0', 'once', 'unary'])
  const made = protocol.methods.once
  assert.ok(made !== undefined)
  const codec = callerCodec(protocol, 'once', made)
  assert.deepEqual([codec.kind, codec.timeoutMs, codec.idempotent], ['unary', 1234, true])
  assert.deepEqual(codec.decode(codec.encode({ any: ['thing', 1, null] })), { any: ['thing', 1, null] })
  assert.equal(findCallTarget(agents, wanted('summarize.live')).kind, 'stream')
  assert.equal(findCallTarget(agents, wanted('summarize.note')).kind, 'one-way')
})

test('of several versions the newest is taken, by number and not by letters, unless a major is asked for', () => {
  const agents = [agent('a', summarize('9.0.0')), agent('b', summarize('10.0.1')), agent('c', summarize('9.10.0'))]
  assert.equal(findCallTarget(agents, wanted('summarize.once')).protocol.version, '10.0.1')
  assert.equal(findCallTarget(agents, wanted('summarize@9.once')).protocol.version, '9.10.0')
})

test('a name that nobody offers is told with the one that was probably meant, or with what there is', () => {
  const agents = [agent('a', summarize('1.0.0'))]
  const misspelt = failure(() => findCallTarget(agents, wanted('sumarize.once')))
  assert.deepEqual([misspelt.code, misspelt.hint], ['COM004', 'did you mean summarize?'])
  assert.equal(failure(() => findCallTarget(agents, wanted('translate.once'))).hint, 'there is summarize')
  assert.equal(failure(() => findCallTarget(agents, wanted('summarize@2.once'))).hint, 'did you mean summarize@1?')
  assert.match(failure(() => findCallTarget([], wanted('summarize.once'))).hint ?? '', /parley up --serve/)
  const method = failure(() => findCallTarget(agents, wanted('summarize.onec')))
  assert.deepEqual([method.code, method.hint], ['STA001', 'did you mean once?'])
})

test('bytes are base64 on the command line, and what is no base64 is refused', () => {
  const blob: ProtocolRecord = {
    name: 'blob',
    version: '1.0.0',
    methods: [
      { name: 'put', kind: 'unary', content: 'bytes' },
      { name: 'tree', kind: 'unary', content: 'cbor' },
    ],
  }
  const codecOf = (method: string) => {
    const { protocol } = findCallTarget([agent('a', blob)], wanted(`blob.${method}`))
    return callerCodec(protocol, method, protocol.methods[method] ?? assert.fail())
  }
  assert.deepEqual(codecOf('put').encode('AQID'), Uint8Array.of(1, 2, 3))
  assert.deepEqual(codecOf('put').decode(Uint8Array.of(4)), Uint8Array.of(4))
  assert.equal(failure(() => codecOf('put').encode('not base64!')).code, 'MSG001')
  assert.equal(failure(() => codecOf('put').encode({})).code, 'MSG001')
  assert.deepEqual(codecOf('tree').decode(codecOf('tree').encode({ a: [1, 'x'] })), { a: [1, 'x'] })
})
