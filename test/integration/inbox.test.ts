/** The inbox of a process that is killed: what lies in it is there again, each message once. */
import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { testFolder } from '../support/folder.ts'
import { endProcesses, type Peer, startPeer } from '../support/processes.ts'
import { until } from '../support/until.ts'

const common = { mesh: 'inboxes', debug: { port: 0 }, timings: { backoffMinMs: 50, backoffMaxMs: 200 } }
const NOTES = 60

describe('an inbox', { timeout: 100_000 }, () => {
  after(endProcesses)

  it('loses nothing and holds nothing twice when its process is killed while messages come', async (t) => {
    const [sent, kept] = [await testFolder(t), await testFolder(t)]
    const sender = await startPeer({ ...common, name: 'sender', dataDir: sent }, { serve: false })
    const start = async (): Promise<Peer> => {
      const peer = await startPeer(
        { ...common, name: 'receiver', dataDir: kept, join: sender.addresses },
        { serve: false },
      )
      await peer.ask('openInbox', undefined)
      return peer
    }
    let receiver = await start()
    const all = Array.from({ length: NOTES }, (_, n) => n)
    for (let from = 0; from < NOTES; from += NOTES / 3) {
      // Killed as soon as some of them have arrived.
      const sending = sender.ask('sendNotes', { to: receiver.id, from, count: NOTES / 3 })
      await until('a note', async () => (await receiver.ask('inboxNotes', undefined)).length > from)
      await receiver.kill()
      await sending
      receiver = await start()
      await until('an empty outbox', async () => (await sender.ask('delivery', undefined)).outbox === 0, 30_000)
    }
    assert.deepEqual(await receiver.ask('inboxNotes', undefined), all)

    assert.deepEqual(await receiver.ask('workOff', { count: 25 }), all.slice(0, 25))
    await receiver.kill()
    receiver = await start()
    assert.deepEqual(await receiver.ask('inboxNotes', undefined), all.slice(25))
    const inbox = await (await fetch(`${receiver.debugUrl}/api/inbox?limit=1`)).json()
    assert.deepEqual((inbox as { messages: number; entries: unknown[] }).messages, NOTES - 25)
  })
})
