import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as z from 'zod'
import { defineCommand } from '../../../protocols/command/command-definition.ts'
import { defineProtocol, kindOf, majorOf, wireId } from '../../../protocols/define.ts'
import { defineMessage } from '../../../protocols/delivery/define-message.ts'
import { defineEvent } from '../../../protocols/events/define-event.ts'

const method = { request: z.string(), response: z.string() }
const named = (name: string) => () => defineProtocol({ name, version: '1.0.0', methods: { once: method } })
const versioned = (version: string) => () => defineProtocol({ name: 'demo', version, methods: { once: method } })
const withMethod = (name: string) => () =>
  defineProtocol({ name: 'demo', version: '1.0.0', methods: { [name]: method } })
const refused = { code: 'MSG001' }

describe('defineProtocol', () => {
  it('gives the contract back as it is', () => {
    const contract = { name: 'demo', version: '1.2.3', methods: { once: method } }
    assert.equal(defineProtocol(contract), contract)
  })

  it('takes names of 1 to 64 small letters, digits and -, and refuses others', () => {
    for (const name of ['a', 'a-1', 'a'.repeat(64)]) assert.doesNotThrow(named(name), name)
    for (const name of ['', 'A', '1a', '-a', 'a_b', 'a/b', 'a b', 'a\n', 'ä', 'a'.repeat(65)])
      assert.throws(named(name), refused, name)
  })

  it('takes versions of three numbers and refuses others', () => {
    for (const version of ['0.0.0', '1.2.3', '99999.0.1']) assert.doesNotThrow(versioned(version), version)
    for (const version of ['', '1', '1.2', '1.2.3.4', 'v1.2.3', '1.2.x', '1.2.3-rc1', '100000.0.0', '1.0.0\n']) {
      assert.throws(versioned(version), refused, version)
    }
  })

  it('takes methods of 1 to 64 letters, digits and _, and refuses others', () => {
    for (const name of ['a', 'doIt_2', 'A', 'a'.repeat(64)]) assert.doesNotThrow(withMethod(name), name)
    for (const name of ['', '_a', '1a', 'a-b', 'a.b', 'a'.repeat(65)]) assert.throws(withMethod(name), refused, name)
  })

  it('refuses a method named then, since a client with it would look like a promise', () => {
    assert.throws(withMethod('then'), refused)
  })

  it('refuses a protocol without a method', () => {
    assert.throws(() => defineProtocol({ name: 'demo', version: '1.0.0', methods: {} }), refused)
  })
})

describe('a key that nobody knows', () => {
  const methods = { once: method }
  const meant = (hint: string) => ({ code: 'MSG001', hint })

  it('is refused in a protocol and in a method, with the one that was meant', () => {
    const spare = { name: 'demo', version: '1.0.0', methods, verison: '1.0.0' }
    assert.throws(() => defineProtocol(spare), meant('did you mean version?'))
    const slow = { ...method, timeoutMS: 5 }
    assert.throws(() => defineProtocol({ name: 'demo', version: '1.0.0', methods: { slow } }), {
      message: 'the method demo.slow: "timeoutMS" is unknown',
      ...meant('did you mean timeoutMs?'),
    })
  })

  it('is refused in the definition of an event, a message and a command', () => {
    const schema = z.string()
    const event = { topic: 'a.b', version: '1.0.0', schema, scheme: schema }
    assert.throws(() => defineEvent(event), meant('did you mean schema?'))
    const message = { type: 'a', version: '1.0.0', schema, contents: 'cbor' as const }
    assert.throws(() => defineMessage(message), meant('did you mean content?'))
    const command = { type: 'a', parameters: schema, results: schema }
    assert.throws(() => defineCommand(command), meant('did you mean result?'))
  })
})

describe('wire id', () => {
  it('has the name and the major version only, so that minor versions meet', () => {
    assert.equal(wireId({ name: 'demo', version: '1.0.0' }), '/parley/demo/1')
    assert.equal(wireId({ name: 'demo', version: '1.9.7' }), '/parley/demo/1')
    assert.equal(wireId({ name: 'demo', version: '12.0.0' }), '/parley/demo/12')
    assert.equal(majorOf('12.3.4'), 12)
  })
})

describe('kind of a method', () => {
  it('follows from what it answers with', () => {
    assert.equal(kindOf({ request: z.string(), response: z.string() }), 'unary')
    assert.equal(kindOf({ request: z.string(), stream: z.string() }), 'stream')
    assert.equal(kindOf({ request: z.string(), oneWay: true }), 'one-way')
  })
})
