import assert from 'node:assert/strict'
import type { NetworkInterfaceInfo } from 'node:os'
import { test } from 'node:test'
import { dialableFrom, makeRing, outlooks } from '../../../../node/transport/mdns.ts'

const info = (address: string, { internal = false } = {}): NetworkInterfaceInfo => ({
  address,
  netmask: '',
  mac: '00:00:00:00:00:00',
  internal,
  cidr: null,
  ...(address.includes(':') ? { family: 'IPv6', scopeid: 2 } : { family: 'IPv4' }),
})

const ALL = {
  lo: [info('127.0.0.1', { internal: true }), info('::1', { internal: true })],
  eth0: [info('10.0.0.5'), info('10.0.0.6'), info('fd00::5'), info('fe80::5')],
  eth1: [info('fe80::7')],
  veth12: [info('fe80::9')],
}

test('each interface is used once by family, but for the ends of cables to containers', () => {
  assert.deepEqual(
    outlooks(ALL, true).map(({ name, address, by }) => [name, address, by]),
    [
      ['lo/4', '127.0.0.1', '127.0.0.1'],
      ['eth0/4', '10.0.0.5', '10.0.0.5'],
      ['eth0/6', 'fe80::5%eth0', '::%eth0'],
      ['eth1/6', 'fe80::7%eth1', '::%eth1'],
    ],
  )
})

test('a node that must not be seen from elsewhere speaks on the loopback interface alone', () => {
  assert.deepEqual(
    outlooks(ALL, false).map(({ name }) => name),
    ['lo/4'],
  )
})

test('sixteen interfaces are used, and no more', () => {
  const many = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`eth${i}`, [info(`10.0.${i}.1`)]]))
  assert.equal(outlooks(many(16), true).length, 16)
  assert.equal(outlooks(many(17), true).length, 16)
})

test('loopback addresses are told on the loopback interface, all others everywhere else', () => {
  const both = ['/ip4/127.0.0.1/tcp/1', '/ip4/10.0.0.5/tcp/1']
  assert.deepEqual(dialableFrom({ isLoopback: true }, both), ['/ip4/127.0.0.1/tcp/1'])
  assert.deepEqual(dialableFrom({ isLoopback: false }, both), ['/ip4/10.0.0.5/tcp/1'])
  assert.deepEqual(dialableFrom({ isLoopback: true }, ['/ip4/10.0.0.5/tcp/1']), ['/ip4/10.0.0.5/tcp/1'])
  assert.deepEqual(dialableFrom({ isLoopback: false }, ['/ip4/127.0.0.1/tcp/1']), [])
})

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
