import assert from 'node:assert/strict'
import type { NetworkInterfaceInfo } from 'node:os'
import { test } from 'node:test'
import {
  dialableFrom,
  mdnsInterfaceAddresses,
  usableAddresses,
} from '../../../../../node/network/mdns/mdns-interfaces.ts'

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
    mdnsInterfaceAddresses(ALL, true).map(({ name, address, by }) => [name, address, by]),
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
    mdnsInterfaceAddresses(ALL, false).map(({ name }) => name),
    ['lo/4'],
  )
})

test('sixteen interfaces are used, and no more', () => {
  const many = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`eth${i}`, [info(`10.0.${i}.1`)]]))
  assert.equal(mdnsInterfaceAddresses(many(16), true).length, 16)
  assert.equal(mdnsInterfaceAddresses(many(17), true).length, 16)
})

test('loopback addresses are told on the loopback interface, all others everywhere else', () => {
  const both = ['/ip4/127.0.0.1/tcp/1', '/ip4/10.0.0.5/tcp/1']
  assert.deepEqual(dialableFrom({ isLoopback: true }, both), ['/ip4/127.0.0.1/tcp/1'])
  assert.deepEqual(dialableFrom({ isLoopback: false }, both), ['/ip4/10.0.0.5/tcp/1'])
  assert.deepEqual(dialableFrom({ isLoopback: true }, ['/ip4/10.0.0.5/tcp/1']), ['/ip4/10.0.0.5/tcp/1'])
  assert.deepEqual(dialableFrom({ isLoopback: false }, ['/ip4/127.0.0.1/tcp/1']), [])
})

test('of what was told this node dials what it can and may', () => {
  const told = ['/ip6/fe80::7/tcp/1', '/ip6/fd00::7/tcp/1', '/ip4/127.0.0.1/tcp/1', 'nonsense', '/ip4/10.0.0.1/tcp/0']
  assert.deepEqual(usableAddresses(told, true), ['/ip6/fd00::7/tcp/1', '/ip4/127.0.0.1/tcp/1'])
  assert.deepEqual(usableAddresses(told, false), ['/ip4/127.0.0.1/tcp/1'])
})
