import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseOptions } from '../../../../node/options.ts'
import { makeRing, ringsOf } from '../../../../node/transport/mdns-ring.ts'

test('the service is the same for members, another one for each secret and mesh, and says nothing of either', () => {
  const ring = makeRing('secret', 'kitchen')
  assert.equal(ring.service, makeRing('secret', 'kitchen').service)
  assert.match(ring.service, /^_p[0-9a-f]{14}\._udp\.local$/)
  for (const other of [makeRing('secret', 'cellar'), makeRing('other', 'kitchen'), makeRing('', 'kitchen')])
    assert.notEqual(other.service, ring.service)
})

test('what a member sealed is opened by members, and by nobody else', () => {
  const ring = makeRing('secret', 'kitchen')
  const plain = new TextEncoder().encode('{"p":"one","a":["/ip4/10.0.0.5/tcp/1"]}')
  const sealed = ring.seal(plain)
  assert.ok(!Buffer.from(sealed).includes('10.0.0.5'))
  assert.deepEqual(Buffer.from(makeRing('secret', 'kitchen').open(sealed) ?? []), Buffer.from(plain))
  assert.notDeepEqual(ring.seal(plain), sealed, 'two answers do not look alike')
  assert.equal(makeRing('other', 'kitchen').open(sealed), undefined)
  for (let at = 0; at < sealed.length; at += 1) {
    const changed = Uint8Array.from(sealed)
    changed[at] = (changed[at] ?? 0) ^ 1
    assert.equal(ring.open(changed), undefined, `byte ${at}`)
    assert.equal(ring.open(sealed.subarray(0, at)), undefined, `${at} bytes`)
  }
})

test('there is one for each secret of a change, the same on all nodes, and one where there is no secret', async () => {
  const services = async (secret?: string | [string, string]): Promise<string[]> =>
    (await ringsOf(parseOptions(secret === undefined ? {} : { secret }))).map(({ service }) => service)
  const [older] = await services('one')
  assert.deepEqual((await services(['two', 'one']))[1], older)
  assert.equal(new Set([...(await services(['two', 'one'])), ...(await services())]).size, 3)
})
