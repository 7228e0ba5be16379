/** One bound over what a node keeps on disk, on a real disk: history gives way, senders wait, and nothing is lost. */
import assert from 'node:assert/strict'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { after, afterEach, describe, it } from 'node:test'
import * as z from 'zod'
import { defineMessage, makeSecret } from '../../node/index.ts'
import { isParleyError } from '../../protocols/errors.ts'
import { commandFolder } from '../support/command.ts'
import { startMesh, stopMeshes } from '../support/meshes.ts'
import { until } from '../support/until.ts'

const MIB = 1024 * 1024
const MAX = 4 * MIB
const Parcel = defineMessage({ type: 'parcel', version: '1.0.0', schema: z.object({ n: z.int(), fill: z.string() }) })

const sizeOf = async (folder: string): Promise<number> => {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true })
  const files = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))
  // One that is removed meanwhile has no size.
  const sizes = await Promise.all(
    files.map((file) =>
      stat(file).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}

describe('the quota of the disk', { timeout: 60_000 }, async () => {
  const folder = await commandFolder()
  afterEach(stopMeshes)
  after(() => folder.end())

  it('holds over events and messages, on the disk too, and what waits goes on when there is room', async () => {
    const secret = makeSecret()
    const common = { mesh: 'quota', secret }
    const dataDir = join(folder.path, 'node')
    const history = [{ topic: 'log', store: 'disk' as const }]
    const options = { ...common, name: 'sender', dataDir, limits: { maxDiskBytes: MAX }, events: { history } }
    const sender = await startMesh({ ...options, delivery: { roomTimeoutMs: 1_000 } })
    const receiverDir = join(folder.path, 'receiver')
    const joins = { ...common, name: 'receiver', dataDir: receiverDir, join: sender.mesh.self.addresses }
    const first = await startMesh(joins)
    await until('they know each other', () => sender.mesh.members().length === 1)
    const to = first.mesh.self.id
    await first.mesh.stop()

    const fill = 'x'.repeat(32 * 1024)
    for (let n = 0; n < 200; n += 1) await sender.mesh.events.publish('log.line', { n, fill })
    const disk = () => sender.mesh.figures().disk
    await until('the history is within the bound', () => {
      const { bytes, parts, givenUpBytes } = disk()
      return bytes <= MAX && (parts.history ?? 0) > MAX / 2 && givenUpBytes > 0
    })

    let sent = 0
    const refused = await (async () => {
      for (;;) {
        try {
          await sender.mesh.messages.send(to, Parcel, { n: sent, fill }, { guarantee: 'EXACTLY_ONCE' })
          sent += 1
        } catch (error) {
          return error
        }
      }
    })()
    assert.ok(isParleyError(refused, 'COM003'), String(refused))
    assert.match(refused.hint ?? '', /limits\.maxDiskBytes/)
    assert.ok(sent * fill.length > MAX * 0.8, `${sent} messages`)
    const { bytes, parts } = disk()
    assert.ok(bytes <= MAX, `${bytes} bytes`)
    assert.ok((parts.history ?? 0) < MAX / 8, 'the history gave way')
    assert.ok(
      sender.log.lines.some(({ level, message }) => level === 'warn' && /as much on disk as it may/.test(message)),
    )
    assert.ok((await sizeOf(dataDir)) < 3 * MAX, `${await sizeOf(dataDir)} bytes in its folder`)

    // More room while it runs, and then somebody who takes what waits.
    await sender.mesh.reload({ limits: { maxDiskBytes: 2 * MAX } })
    await sender.mesh.messages.send(to, Parcel, { n: sent, fill }, { guarantee: 'EXACTLY_ONCE' })
    sent += 1
    const second = await startMesh(joins)
    const got = new Set<number>()
    let runs = 0
    await second.mesh.messages.receive(Parcel, ({ n }) => {
      got.add(n)
      runs += 1
    })
    await until('all have arrived', () => got.size === sent, 30_000)
    assert.equal(runs, sent)
    await until('the outbox is empty', () => disk().parts.outbox === 0)
    await sender.mesh.events.publish('log.line', { n: 0, fill })
    await until('history is kept again', () => (disk().parts.history ?? 0) > fill.length)
  })
})
