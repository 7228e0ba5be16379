/** What features give the network: until then what holds by itself. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { NetworkExtensions } from '../../../../node/network/extensions.ts'
import { isParleyError } from '../../../../protocols/errors.ts'
import type { ForwardedReply } from '../../../../protocols/wire/responder/responder.ts'

describe('extensions of the network', () => {
  it('has nothing before a feature gives something, and then what was given', () => {
    const extensions = new NetworkExtensions()
    assert.equal(extensions.directory.current, undefined)
    assert.equal(extensions.peerLoad.current('p'), undefined)
    assert.equal(extensions.ownCandidate.current('x', 1), undefined)
    assert.equal(extensions.connectionPruning.current('p'), undefined)
    extensions.peerLoad.give((peer) => ({ load: peer.length, queueLength: 0 }))
    assert.deepEqual(extensions.peerLoad.current('abc'), { load: 3, queueLength: 0 })
  })

  it('fails an answer for a third party that nothing can send yet', async () => {
    const { sendReply } = new NetworkExtensions()
    const envelope = { id: 'm', from: 'p', timestamp: 0, conversationId: undefined }
    await assert.rejects(
      // Only its destination is looked at.
      sendReply.current({ replyTo: 'topic:answers', envelope, content: 0 } as unknown as ForwardedReply),
      (error) => isParleyError(error, 'COM002') && /topic:answers/.test(error.message),
    )
  })

  it('keeps the mesh that was heard of last until coordination runs, and gives it to that once', () => {
    const extensions = new NetworkExtensions()
    assert.equal(extensions.belonging.meshId(), undefined)
    assert.equal(extensions.belonging.mayMove(), true)
    extensions.belonging.heard('first')
    extensions.belonging.heard('second')
    const heard: string[] = []
    const coordination = {
      meshId: () => heard.at(-1),
      mayMove: () => false,
      heard: (id: string) => void heard.push(id),
    }
    extensions.giveBelonging(coordination)
    assert.deepEqual(heard, ['second'])
    extensions.belonging.heard('third')
    assert.deepEqual(heard, ['second', 'third'])
    assert.equal(extensions.belonging.meshId(), 'third')
    assert.equal(extensions.belonging.mayMove(), false)
  })

  it('tells coordination of no mesh where none was heard of', () => {
    const extensions = new NetworkExtensions()
    extensions.giveBelonging({ meshId: () => undefined, mayMove: () => true, heard: () => assert.fail('of none') })
  })
})
