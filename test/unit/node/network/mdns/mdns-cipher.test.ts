import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMdnsCipher, mdnsCiphersOf } from '../../../../../node/network/mdns/mdns-cipher.ts'
import { parseOptions } from '../../../../../node/options/schema.ts'

test('the service is the same for members, another one for each secret and mesh, and says nothing of either', () => {
  const ring = createMdnsCipher('secret', 'kitchen')
  assert.equal(ring.service, createMdnsCipher('secret', 'kitchen').service)
  assert.match(ring.service, /^_p[0-9a-f]{14}\._udp\.local$/)
  for (const other of [
    createMdnsCipher('secret', 'cellar'),
    createMdnsCipher('other', 'kitchen'),
    createMdnsCipher('', 'kitchen'),
  ])
    assert.notEqual(other.service, ring.service)
})

test('what a member sealed is opened by members, and by nobody else', () => {
  const ring = createMdnsCipher('secret', 'kitchen')
  const plain = new TextEncoder().encode('{"p":"one","a":["/ip4/10.0.0.5/tcp/1"]}')
  const sealed = ring.encrypt(plain)
  assert.ok(!Buffer.from(sealed).includes('10.0.0.5'))
  assert.deepEqual(Buffer.from(createMdnsCipher('secret', 'kitchen').decrypt(sealed) ?? []), Buffer.from(plain))
  assert.notDeepEqual(ring.encrypt(plain), sealed, 'two answers do not look alike')
  assert.equal(createMdnsCipher('other', 'kitchen').decrypt(sealed), undefined)
  for (let at = 0; at < sealed.length; at += 1) {
    const changed = Uint8Array.from(sealed)
    changed[at] = (changed[at] ?? 0) ^ 1
    assert.equal(ring.decrypt(changed), undefined, `byte ${at}`)
    assert.equal(ring.decrypt(sealed.subarray(0, at)), undefined, `${at} bytes`)
  }
})

test('there is one for each secret of a change, the same on all nodes, and one where there is no secret', async () => {
  const services = async (secret?: string | [string, string]): Promise<string[]> =>
    (await mdnsCiphersOf(parseOptions(secret === undefined ? {} : { secret }))).map(({ service }) => service)
  const [older] = await services('one')
  assert.deepEqual((await services(['two', 'one']))[1], older)
  assert.equal(new Set([...(await services(['two', 'one'])), ...(await services())]).size, 3)
})
