/** Where this node connects to, by who named the address: all spellings of an address are one. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  closestNetwork,
  formsOf,
  isInNetwork,
  parseIp,
  parseNetwork,
} from '../../../../../node/network/addresses/ip-networks.ts'
import { addressRefusal, type DialContext, ipRefusal, namesIn } from '../../../../../node/network/dial/dial-rules.ts'

const PEER = '12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5'
const OTHER = '12D3KooWRBhwfeP2Y4TCx1SM6s9rUoHhR5STiGwxBhgFRcw3UERE'

const networks = (...texts: string[]) => texts.flatMap((text) => parseNetwork(text) ?? assert.fail(text))
const context = (changes: Partial<DialContext> & { allow?: string[]; deny?: string[]; names?: boolean } = {}) => {
  const { allow = [], deny = [], names = false, ...rest } = changes
  const rules = { allow: networks(...allow), deny: networks(...deny), names }
  return { rules, isOwn: false, isSameMachine: false, ...rest }
}

const refusals: [address: string, why: ReturnType<typeof addressRefusal>][] = [
  ['/ip4/10.0.0.1/tcp/8081', undefined],
  ['/ip4/192.168.1.9/tcp/22/ws', undefined],
  ['/ip4/100.64.0.1/udp/1/quic-v1', undefined],
  ['/ip6/fd00::1/tcp/8081', undefined],
  ['/ip6/2001:db8::1/tcp/443/tls/ws', undefined],
  [`/ip4/10.0.0.1/tcp/1/p2p/${PEER}`, undefined],
  [`/ip4/10.0.0.1/tcp/1/p2p/${OTHER}/p2p-circuit/p2p/${PEER}`, undefined],
  [`/p2p/${OTHER}/p2p-circuit/p2p/${PEER}`, undefined],
  // Loopback.
  ['/ip4/127.0.0.1/tcp/1', 'loopback'],
  ['/ip4/127.8.9.10/tcp/1/ws', 'loopback'],
  ['/ip6/::1/tcp/1', 'loopback'],
  ['/ip6/0:0:0:0:0:0:0:1/tcp/1', 'loopback'],
  ['/ip6/::ffff:127.0.0.1/tcp/1', 'loopback'],
  ['/ip6/::ffff:7f00:1/tcp/1', 'loopback'],
  ['/ip6/::127.0.0.1/tcp/1', 'loopback'],
  ['/ip6/64:ff9b::127.0.0.1/tcp/1', 'loopback'],
  ['/ip6/2002:7f00:1::/tcp/1', 'loopback'],
  ['/dns4/localhost/tcp/1', 'loopback'],
  ['/dns/a.LOCALHOST./tcp/1', 'loopback'],
  ['/dns4/127.0.0.1/tcp/1', 'loopback'],
  ['/dns6/::1/tcp/1/ws', 'loopback'],
  [`/ip4/127.0.0.1/tcp/1/p2p/${OTHER}/p2p-circuit/p2p/${PEER}`, 'loopback'],
  // Link-local and metadata.
  ['/ip4/169.254.1.1/tcp/1', 'link-local'],
  ['/ip6/fe80::1/tcp/1', 'link-local'],
  ['/ip6/febf:ffff::1/tcp/1', 'link-local'],
  ['/ip4/169.254.169.254/tcp/80', 'metadata'],
  ['/ip4/169.254.170.2/tcp/80/ws', 'metadata'],
  ['/ip6/::ffff:169.254.169.254/tcp/80', 'metadata'],
  ['/ip6/::ffff:0:169.254.169.254/tcp/80', 'metadata'],
  ['/ip6/64:ff9b::a9fe:a9fe/tcp/80', 'metadata'],
  ['/ip6/64:ff9b:1:a9fe:00a9:fe00::/tcp/80', 'reserved'],
  ['/ip6/2002:a9fe:a9fe::1/tcp/80', 'metadata'],
  ['/ip6/2001:0:102:304::5601:5601/tcp/80', 'metadata'],
  ['/ip6/2001:0:a9fe:a9fe::/tcp/80', 'metadata'],
  ['/ip6/2001:db8::5efe:169.254.169.254/tcp/80', 'metadata'],
  ['/ip6/fd00:ec2::254/tcp/80', 'metadata'],
  ['/ip4/100.100.100.200/tcp/80', 'metadata'],
  ['/ip4/8.8.8.8/tcp/443/tls/sni/169.254.169.254/ws', 'metadata'],
  // Nowhere.
  ['/ip4/0.0.0.0/tcp/1', 'unspecified'],
  ['/ip4/0.1.2.3/tcp/1', 'unspecified'],
  ['/ip6/::/tcp/1', 'unspecified'],
  ['/ip4/224.0.0.251/udp/5353/quic-v1', 'multicast'],
  ['/ip6/ff02::fb/tcp/1', 'multicast'],
  ['/ip4/255.255.255.255/tcp/1', 'reserved'],
  ['/ip4/240.0.0.1/tcp/1', 'reserved'],
  ['/ip6/fec0::1/tcp/1', 'reserved'],
  // Names.
  ['/dns4/intranet/tcp/1', 'name'],
  ['/dns/db.example.org/tcp/1/ws', 'name'],
  ['/ip4/8.8.8.8/tcp/443/tls/sni/intranet/ws', 'name'],
  ['/dns4/2130706433/tcp/1/ws', 'form'],
  ['/dns4/0x7f.1/tcp/1/ws', 'form'],
  ['/dns4/127.1/tcp/1', 'form'],
  ['/dns4/0x7f000001./tcp/1', 'form'],
  ['/dns4/①②⑦.⓪.⓪.①/tcp/1/ws', 'form'],
  // What is no such address.
  ['/unix/%2Fvar%2Frun%2Fdocker.sock', 'form'],
  ['/ip4/10.0.0.1', 'form'],
  ['/ip4/10.0.0.1/tcp/0', 'form'],
  ['/ip4/10.0.0.1/udp/53', 'form'],
  ['/ip4/10.0.0.1/tcp/80/http', 'form'],
  ['/ip6zone/eth0/ip6/fd00::1/tcp/1', 'form'],
  ['/dnsaddr/example.org', 'form'],
  ['/memory/1', 'form'],
  ['10.0.0.1:80', 'form'],
  ['', 'form'],
  [`/ip4/10.0.0.1/tcp/1/p2p-circuit/p2p/${PEER}`, 'form'],
  [`/ip4/10.0.0.1/tcp/1/p2p/${OTHER}/p2p-circuit/ip4/10.0.0.2/tcp/1/p2p/${PEER}`, 'form'],
  [`/ip4/10.0.0.1/tcp/1/p2p/${OTHER}/p2p-circuit/p2p/${OTHER}/p2p-circuit/p2p/${PEER}`, 'nested'],
  [`/ip4/10.0.0.1/tcp/1/p2p/${OTHER}`, 'author'],
]

for (const [address, why] of refusals) {
  test(`${address || 'nothing'} of a peer: ${why ?? 'is dialled'}`, () => {
    assert.equal(addressRefusal(address, context({ announcer: PEER })), why)
  })
}

test('loopback is dialled where its peer is on this machine, and nothing else of what lies near', () => {
  const near = context({ isSameMachine: true })
  for (const address of [
    '/ip4/127.0.0.1/tcp/1',
    '/ip6/::1/tcp/1',
    '/dns4/localhost/tcp/1',
    '/ip6/::ffff:127.9.9.9/tcp/1',
  ])
    assert.equal(addressRefusal(address, near), undefined, address)
  assert.equal(addressRefusal('/ip4/169.254.169.254/tcp/1', near), 'metadata')
  assert.equal(addressRefusal('/ip4/0.0.0.0/tcp/1', near), 'unspecified')
})

test('what the operator named is dialled unless the operator denied it', () => {
  for (const address of ['/ip4/127.0.0.1/tcp/1', '/ip4/169.254.1.1/tcp/1', '/dns4/intranet/tcp/1'])
    assert.equal(addressRefusal(address, context({ isOwn: true })), undefined, address)
  assert.equal(addressRefusal('/ip4/10.0.0.1/tcp/1', context({ isOwn: true, deny: ['10.0.0.0/8'] })), 'denied')
  assert.equal(ipRefusal('10.0.0.1', context({ isOwn: true, deny: ['10.0.0.0/8'] })), 'denied', 'as by a name')
})

test('the closest network decides, and of two alike the one that denies', () => {
  const only = context({ deny: ['0.0.0.0/0', '::/0', '10.1.2.3'], allow: ['10.1.0.0/16', '10.1.2.3'] })
  assert.equal(addressRefusal('/ip4/10.1.9.9/tcp/1', only), undefined)
  assert.equal(addressRefusal('/ip4/10.2.0.1/tcp/1', only), 'denied')
  assert.equal(addressRefusal('/ip4/10.1.2.3/tcp/1', only), 'denied')
  assert.equal(addressRefusal('/ip6/fd00::1/tcp/1', only), 'denied')
  assert.equal(addressRefusal('/ip6/::ffff:10.2.0.1/tcp/1', only), 'denied')
  assert.equal(addressRefusal('/ip4/169.254.7.7/tcp/1', context({ allow: ['169.254.7.0/24'] })), undefined)
  assert.equal(addressRefusal('/ip4/169.254.8.8/tcp/1', context({ allow: ['169.254.7.0/24'] })), 'link-local')
})

test('names are dialled where the operator wants it, and only what nobody reads as a number', () => {
  const named = context({ names: true })
  assert.equal(addressRefusal('/dns4/db.example.org/tcp/1', named), undefined)
  assert.equal(addressRefusal('/dns4/a_b-c.example.org./tcp/1/ws', named), undefined)
  for (const name of ['2130706433', '127.1', '0x7f.0x1', 'example.0', 'a..b', '-a.org', 'a%2e', 'ex ample.org'])
    assert.equal(addressRefusal(`/dns4/${name}/tcp/1`, named), 'form', name)
  assert.deepEqual(namesIn('/dns4/db.example.org/tcp/1/tls/sni/other.example/ws'), ['db.example.org', 'other.example'])
  assert.deepEqual(namesIn('/ip4/10.0.0.1/tcp/1'), [])
})

test('networks are read in each form that people write, and in no other', () => {
  assert.deepEqual(parseNetwork('10.0.0.0/8'), { ip: [10, 0, 0, 0], bits: 8 })
  assert.deepEqual(parseNetwork('::ffff:10.0.0.0/104'), { ip: [10, 0, 0, 0], bits: 8 })
  assert.equal(parseNetwork('fd00::1')?.bits, 128)
  for (const text of [
    '',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0/8',
    'fd00::/129',
    '10.0.0.0/8/8',
    '::ffff:10.0.0.0/90',
    'x/8',
  ])
    assert.equal(parseNetwork(text), undefined, text)
})

const octets = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255))
const hex = (a: number, b: number): string => ((a << 8) | b).toString(16)

test('every spelling of an IPv4 address within IPv6 is refused where the address is', () => {
  fc.assert(
    fc.property(octets, fc.boolean(), ([a, b, c, d], isUpper) => {
      const plain = `${a}.${b}.${c}.${d}`
      const why = ipRefusal(plain, context())
      const spellings = [
        `::ffff:${plain}`,
        `::ffff:${hex(a, b)}:${hex(c, d)}`,
        `0:0:0:0:0:ffff:${hex(a, b)}:${hex(c, d)}`,
        `::ffff:0:${plain}`,
        `64:ff9b::${plain}`,
        `2002:${hex(a, b)}:${hex(c, d)}::1`,
        `2001:0:${hex(a, b)}:${hex(c, d)}::`,
        `2001:db8::5efe:${plain}`,
      ].map((text) => (isUpper ? text.toUpperCase() : text))
      for (const text of spellings) {
        if (why !== undefined) assert.equal(ipRefusal(text, context()), why, text)
        assert.equal(ipRefusal(text, context({ deny: [plain] })), 'denied', text)
      }
    }),
  )
})

test('whatever a peer says, the answer is one of those, and no text throws', () => {
  const part = fc.constantFrom(
    'ip4',
    'ip6',
    'dns4',
    'tcp',
    'udp',
    'ws',
    'tls',
    'sni',
    'p2p',
    'p2p-circuit',
    '127.0.0.1',
    '::1',
    '1',
    PEER,
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(part, { maxLength: 12 }).map((parts) => `/${parts.join('/')}`),
      ),
      (address) => {
        const why = addressRefusal(address, context({ announcer: PEER }))
        assert.ok(why === undefined || typeof why === 'string')
        if (why === undefined) assert.ok(!address.includes('127.0.0.1') && !address.includes('::1'), address)
      },
    ),
  )
})

test('an address lies in a network exactly where their first bits are the same', () => {
  const bits = (ip: readonly number[]): string => ip.map((byte) => byte.toString(2).padStart(8, '0')).join('')
  fc.assert(
    fc.property(octets, octets, fc.nat(32), (a, b, length) => {
      assert.equal(isInNetwork(a, { ip: b, bits: length }), bits(a).slice(0, length) === bits(b).slice(0, length))
    }),
  )
  fc.assert(
    fc.property(fc.ipV6(), (text) => {
      const ip = parseIp(text)
      assert.ok(ip !== undefined && (ip.length === 16 || ip.length === 4), text)
      assert.ok(formsOf(ip).length >= 1)
    }),
  )
  assert.equal(
    closestNetwork(
      [10, 1, 1, 1],
      networks('10.0.0.0/8', '10.1.0.0/16').map((network) => ({ network })),
    )?.network.bits,
    16,
  )
})
