import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createDirectory } from '../../../../discovery/directory/directory.ts'
import { directoryProtocol, MAX_BATCH_BYTES, PRESENCE_TOPIC } from '../../../../discovery/directory/protocol.ts'
import { MAX_RECORD_BYTES, packRecord, signRecord } from '../../../../discovery/directory/record/agent-record.ts'
import { isParleyError } from '../../../../protocols/errors.ts'
import { createDirectoryMesh, pushTo, recordOf } from '../../../support/directory-mesh.ts'

test('changes are pushed to as many neighbours as the bound says, and to no more', async () => {
  for (const [count, pushes] of [
    [3, 3],
    [4, 3],
  ] as const) {
    const { start, connect, time, calls } = createDirectoryMesh({ gossipLoss: 1 }, { syncPeriodMs: 20_000 })
    const hub = await start('hub', { maxPushPeers: 3 })
    for (let n = 0; n < count; n += 1) connect(hub, await start(`n${n}`))
    await time.run(100)
    const before = calls['one-way']
    await hub.directory.announce({ price: 1 })
    await time.run(100)
    assert.equal(calls['one-way'] - before, pushes)
  }
})

test('forged records are refused by reason, not passed on, and do not take the true ones beside them with them', async () => {
  const { start, startBare, connect, time, gossipRefused } = createDirectoryMesh()
  const [a, far, liar] = [await start('a'), await start('far'), startBare('liar')]
  connect(a, far)
  connect(liar, a)
  await time.run(100)
  const signed = await signRecord(liar.port, recordOf(liar))
  const forged = [
    await signRecord(liar.port, recordOf(far)),
    await signRecord(liar.port, recordOf(liar, { mesh: 'other' })),
    { bytes: new Uint8Array(MAX_RECORD_BYTES + 1), signature: signed.signature },
    { bytes: Uint8Array.of(1, 2, 3), signature: signed.signature },
  ]
  for (const record of forged) await liar.port.gossip.publish(PRESENCE_TOPIC, packRecord(record))
  await liar.port.to(a.id, directoryProtocol).push({ records: [...forged, signed] })
  await time.run(100)
  const refused = { too_big: 2, malformed: 2, other_mesh: 2, bad_signature: 2, own: 0, full: 0, too_many: 0 }
  assert.deepEqual(a.directory.stats().refused, refused)
  assert.equal(a.metric('directory_refused_total', { reason: 'bad_signature' }), 2)
  assert.equal(gossipRefused(a), 4)
  const atFar = Object.values(far.directory.stats().refused)
  assert.deepEqual(atFar, [0, 0, 0, 0, 0, 0, 0])
  assert.deepEqual(a.others(), ['far', 'liar'], 'the true record came through')
})

test('gossip that is old is neither checked nor passed on', async () => {
  const { start, startBare, connect, time, gossipRefused } = createDirectoryMesh()
  const [a, liar, far] = [await start('a'), startBare('liar'), startBare('far')]
  const reached: Uint8Array[] = []
  far.port.gossip.subscribe(
    PRESENCE_TOPIC,
    async () => 'keep',
    (bytes) => reached.push(bytes),
  )
  connect(liar, a)
  connect(a, far)
  await time.run(50)
  reached.length = 0
  await pushTo(liar, a, recordOf(liar, { version: 5 }))
  await time.run(50)
  const { bytes } = await signRecord(liar.port, recordOf(liar, { version: 4 }))
  await liar.port.gossip.publish(PRESENCE_TOPIC, packRecord({ bytes, signature: new Uint8Array(64) }))
  await liar.port.gossip.publish(
    PRESENCE_TOPIC,
    packRecord(await signRecord(liar.port, recordOf(liar, { version: 3 }))),
  )
  await time.run(50)
  assert.equal(gossipRefused(a), 0)
  assert.equal(a.directory.stats().refused.bad_signature, 0)
  assert.deepEqual(reached, [])
})

test('a record that an earlier life left behind is outdone, even where the clock went back', async () => {
  const { start, connect, time } = createDirectoryMesh()
  const [a, b] = [await start('a', { incarnation: 5_000 }), await start('b')]
  await a.directory.announce({ labels: { life: 'first' } })
  connect(a, b)
  await time.run(100)
  a.kill()
  const again = await start('a', { incarnation: 4_000 })
  await again.directory.announce({ labels: { life: 'second' } })
  connect(again, b)
  await time.until(() => b.directory.get(again.id)?.record.labels.life === 'second', 200)
  assert.equal(again.directory.stats().refused.own, 1)
  assert.deepEqual(
    again.logs.map(({ level }) => level),
    ['warn'],
  )
})

test('what an earlier life left behind is outdone a period later, when it shows up too soon after the last time', async () => {
  const { start, startBare, connect, time } = createDirectoryMesh({}, { syncPeriodMs: 1_000 })
  const [a, b] = [await start('a'), startBare('b')]
  connect(a, b)
  const version = () => a.directory.get(a.id)?.record.version ?? 0
  for (const past of [100, 200]) {
    const signed = await signRecord(a.port, recordOf(a, { version: past }))
    await b.port.to(a.id, directoryProtocol).push({ records: [signed] })
    await time.run(20)
  }
  assert.equal(version(), 101)
  await time.run(2_000)
  assert.ok(version() > 200, `${version()}`)
})

test('two processes with one identity disturb the mesh by one record a period each, no more', async () => {
  const { start, startBare, connect, time } = createDirectoryMesh({}, { syncPeriodMs: 1_000 })
  const [a, b] = [await start('a'), startBare('b')]
  connect(a, b)
  const version = () => a.directory.get(a.id)?.record.version ?? 0
  let written = 0
  a.directory.onChange(({ type }) => {
    if (type === 'changed') written += 1
  })
  for (let n = 0; n < 100; n += 1) {
    // What the other process would write, signed by the same key, told by a neighbour.
    const signed = await signRecord(a.port, { ...recordOf(a), version: version() + 10, labels: { n: `${n}` } })
    await b.port.to(a.id, directoryProtocol).push({ records: [signed] })
    await time.run(100)
  }
  assert.equal(a.directory.stats().refused.own, 100)
  assert.ok(version() > 100, 'each answer is above what it answers')
  assert.equal(written, 0, 'the own record says the same as before')
  const published = a.metric('directory_sent_total', { kind: 'gossip', status: 'ok' })
  assert.ok(published >= 9 && published <= 13, `${published} in 10 s`)
})

test('a directory too large for one message is handed out in parts of at most 256 KiB', async () => {
  const { start, startBare, connect, disconnect, time } = createDirectoryMesh({}, { syncPeriodMs: 20_000 })
  const [a, b, asker] = [await start('a'), await start('b'), startBare('asker')]
  const methods = [{ name: 'm', kind: 'unary' as const, request: { description: 'y'.repeat(50_000) } }]
  for (let n = 0; n < 20; n += 1) {
    const other = startBare(`big${n}`)
    connect(other, a)
    await pushTo(other, a, recordOf(other, { protocols: [{ name: 'p', version: '1.0.0', methods }] }))
    await time.run(20)
    disconnect(a, other)
  }
  connect(a, asker)
  const reply = await time.settled(asker.port.to(a.id, directoryProtocol).sync({ digest: new Uint8Array(0) }), 100)
  assert.equal(reply.more, true)
  const bytes = reply.records.reduce((sum, record) => sum + record.bytes.length + record.signature.length, 0)
  assert.ok(bytes > MAX_BATCH_BYTES - MAX_RECORD_BYTES && bytes <= MAX_BATCH_BYTES, `${bytes} bytes`)
  connect(a, b)
  await time.until(() => b.others().length === 21, 1_000)
})

test('an exchange goes on while there is more and it helps, and ends when the peer repeats itself', async () => {
  const { start, startBare, connect, time } = createDirectoryMesh({}, { syncPeriodMs: 20_000 })
  const [a, teller] = [await start('a'), startBare('teller')]
  const writers = Array.from({ length: 5 }, (_, n) => startBare(`w${n}`))
  const told = await Promise.all(writers.map((node) => signRecord(node.port, recordOf(node))))
  let asked = 0
  await teller.port.serve(directoryProtocol, {
    sync: ({ sum }) => {
      if (sum !== undefined) return { records: [], wants: new Uint8Array(0), differs: true }
      const record = told[Math.min(asked, told.length - 1)]
      asked += 1
      return { records: record ? [record] : [], wants: new Uint8Array(0), more: true }
    },
    push: () => {},
  })
  connect(a, teller)
  await time.settled(a.directory.firstSync(), 1_000)
  assert.deepEqual(a.others(), ['w0', 'w1', 'w2', 'w3', 'w4'])
  assert.equal(asked, 6)
})

test('a full directory refuses the next agent, counts it, says so once, and keeps those it has up to date', async () => {
  const { start, startBare, connect, time } = createDirectoryMesh()
  const a = await start('a', { maxAgents: 2 })
  const others = ['x', 'y', 'z'].map((name) => startBare(name))
  for (const other of others) {
    connect(other, a)
    await pushTo(other, a, recordOf(other))
    await time.run(50)
  }
  assert.deepEqual(a.others(), ['x', 'y'])
  assert.equal(a.directory.stats().refused.full, 1)
  const [x] = others
  if (x) await pushTo(x, a, recordOf(x, { version: 1001, price: 4 }))
  await time.run(50)
  assert.equal(a.directory.find('x')?.record.price, 4)
})

test('exchanges with many new neighbours are made a few at a time', async () => {
  const { start, connect, time } = createDirectoryMesh({}, { maxConcurrentSyncs: 4 })
  const hub = await start('hub')
  for (let n = 0; n < 10; n += 1) connect(hub, await start(`n${n}`))
  assert.deepEqual([hub.directory.stats().running, hub.directory.stats().waiting], [4, 6])
  await time.run(200)
  assert.deepEqual([hub.directory.stats().running, hub.directory.stats().waiting], [0, 0])
  assert.equal(hub.others().length, 10)
})

test('neighbours that go away do not stay in the queue', async () => {
  const { start, connect, disconnect, time } = createDirectoryMesh({}, { maxConcurrentSyncs: 1 })
  const hub = await start('hub')
  const nodes = [await start('x'), await start('y'), await start('z')]
  for (const node of nodes) connect(hub, node)
  for (const node of nodes.slice(1)) disconnect(hub, node)
  assert.deepEqual([hub.directory.stats().running, hub.directory.stats().waiting], [1, 0])
  await time.run(200)
  assert.equal(hub.directory.stats().sent['sync ok'], 1)
})

test('an announcement out of bounds is an error and leaves the record as it was; so is one after leaving', async () => {
  const { start, time } = createDirectoryMesh()
  const { directory, id } = await start('a')
  await directory.announce({ price: 1 })
  const before = directory.get(id)?.record
  const tooMany = Array.from({ length: 17 }, () => '/ip4/127.0.0.1/tcp/1')
  await assert.rejects(directory.announce({ addresses: tooMany }), (error) => isParleyError(error, 'MSG001'))
  await assert.rejects(directory.announce({ price: -1 }), (error) => isParleyError(error, 'MSG001'))
  const unknown = { price: 1, prize: 1 }
  await assert.rejects(directory.announce(unknown), (error) => isParleyError(error, 'MSG001'))
  assert.deepEqual(directory.get(id)?.record, before)
  await time.settled(directory.leave(), 100)
  await assert.rejects(directory.announce({ price: 1 }), (error) => isParleyError(error, 'STA003'))
})

test('schemas that are too large are dropped from the own record and counted once', async () => {
  const { start, time } = createDirectoryMesh()
  const { directory, id } = await start('a')
  const methods = [1, 2].map((n) => ({
    name: `m${n}`,
    kind: 'unary' as const,
    request: { description: 'x'.repeat(40_000) },
  }))
  await directory.announce({ protocols: [{ name: 'p', version: '1.0.0', methods }] })
  await time.run(60_000)
  assert.equal(directory.stats().events.schema_dropped, 1)
  assert.equal(directory.get(id)?.record.protocols[0]?.methods.length, 2)
})

test('options that are unknown or out of range are refused with their name', async () => {
  const { startBare } = createDirectoryMesh()
  const { port } = startBare('a')
  for (const options of [{ ttlMs: 99 }, { maxAgents: 4097 }, { ttlMs: 500, syncPeriodMs: 501 }]) {
    const [name = ''] = Object.keys(options).slice(-1)
    await assert.rejects(
      createDirectory(port, options),
      (error) => isParleyError(error, 'MSG001') && error.message.includes(name),
    )
  }
  const misspelt = { ttlMs: 1000, ttl: 1 }
  await assert.rejects(createDirectory(port, misspelt), /"ttl"/)
})

test('gauges show what is held', async () => {
  const { start, connect, time } = createDirectoryMesh()
  const [a, b, c] = [await start('a'), await start('b'), await start('c')]
  connect(a, b)
  connect(a, c)
  await time.run(100)
  a.directory.markSuspect(b.id)
  await time.settled(c.directory.leave(), 100)
  await time.run(100)
  const gauges = ['directory_agents', 'directory_suspects', 'directory_ended'].map((name) => a.metric(name))
  assert.deepEqual(gauges, [1, 1, 1])
})
