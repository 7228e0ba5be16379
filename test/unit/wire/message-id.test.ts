import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { exchangeId, uuid7 } from '../../../protocols/wire/message-id.ts'

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

const timeOf = (id: string): number => Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16)

const session = fc.uint8Array({ minLength: 8, maxLength: 8 })
const time = fc.integer({ min: 0, max: 2 ** 48 - 1 })

describe('uuid7', () => {
  it('has the version, the variant and the time of RFC 9562, whatever the random bytes', () => {
    fc.assert(
      fc.property(time, fc.uint8Array({ minLength: 10, maxLength: 10 }), (atMs, tail) => {
        const id = uuid7(atMs, tail)
        assert.match(id, UUID_V7)
        assert.equal(timeOf(id), atMs)
      }),
    )
  })

  it('matches the example of RFC 9562, appendix A.6', () => {
    const tail = new Uint8Array([0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f])
    assert.equal(uuid7(0x017f22e279b0, tail), '017f22e2-79b0-7cc3-98c4-dc0c0c07398f')
  })

  it('sorts by time', () => {
    fc.assert(
      fc.property(time, time, fc.uint8Array({ minLength: 10, maxLength: 10 }), (a, b, tail) => {
        const [early, late] = [Math.min(a, b), Math.max(a, b)]
        if (early < late) assert.ok(uuid7(early, tail) < uuid7(late, tail))
      }),
    )
  })
})

describe('exchangeId', () => {
  it('is a UUIDv7 of the time at which the exchange was opened', () => {
    fc.assert(
      fc.property(session, time, fc.integer({ min: 1, max: 2 ** 32 - 1 }), (bytes, atMs, exchange) => {
        const id = exchangeId(bytes, atMs, exchange)
        assert.match(id, UUID_V7)
        assert.equal(timeOf(id), atMs)
      }),
    )
  })

  it('differs between exchanges, sessions, and between a request and its answer', () => {
    fc.assert(
      fc.property(session, fc.integer({ min: 1, max: 2 ** 32 - 2 }), (bytes, exchange) => {
        const other = bytes.map((byte, i) => (i === 1 ? byte ^ 1 : byte))
        const ids = [
          exchangeId(bytes, 1, exchange),
          exchangeId(bytes, 1, exchange + 1),
          exchangeId(other, 1, exchange),
          exchangeId(bytes, 1, exchange, true),
        ]
        assert.equal(new Set(ids).size, 4)
      }),
    )
  })

  it('is the same each time it is made', () => {
    const bytes = new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8])
    assert.equal(exchangeId(bytes, 1_700_000_000_123, 7), '018bcfe5-687b-7102-8304-050600000007')
  })
})
