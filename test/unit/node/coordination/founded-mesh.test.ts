/** Which founded mesh a node belongs to: that which it hears of, or that which it founded. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FoundedMesh, type MeshFollowers } from '../../../../node/coordination/founded-mesh.ts'
import type { RaftMember } from '../../../../node/coordination/raft-member.ts'
import type { Founding } from '../../../../protocols/consensus/bootstrap/api.ts'
import type { CoordinatorStatus } from '../../../../protocols/coordinator/coordinator-status.ts'
import type { Log } from '../../../../protocols/port.ts'

const LOST_MS = 4_000

const build = () => {
  const warnings: string[] = []
  const log: Log = { info() {}, warn: (text) => void warnings.push(text), error() {} }
  const founded: string[] = []
  const proven: string[] = []
  const resets: string[] = []
  const leader = { isPresent: true, silentMs: 0 }
  const followers = {
    proofs: { setMesh: async (id: string) => void proven.push(id) },
    tracker: { latest: () => leader, reset: () => void resets.push('tracker') },
    client: { reset: () => void resets.push('client') },
    // Of what it follows these are all that it uses.
  } as unknown as MeshFollowers
  const mesh = new FoundedMesh({ self: { id: 'me', name: 'me', mesh: 'm', incarnation: 1 }, log }, (id) =>
    founded.push(id),
  )
  return { mesh, followers, leader, founded, proven, resets, warnings }
}
const status = (given: Partial<CoordinatorStatus>) => ({
  status: () => ({ quorum: true, leader: 'l', role: 'none', ...given }) as CoordinatorStatus,
})

describe('a node without a store', () => {
  it('belongs to the first mesh that it hears of', () => {
    const { mesh, followers, founded, proven } = build()
    assert.equal(mesh.meshId(), undefined)
    mesh.heard('a', followers)
    mesh.heard('a', followers)
    assert.equal(mesh.meshId(), 'a')
    assert.deepEqual([founded, proven], [['a'], ['a']])
  })

  it('stays in it while somebody coordinates that, or was there a moment ago', () => {
    const { mesh, followers, leader } = build()
    mesh.heard('a', followers)
    mesh.heard('b', followers)
    Object.assign(leader, { isPresent: false, silentMs: LOST_MS - 1 })
    mesh.heard('b', followers)
    assert.equal(mesh.meshId(), 'a')
  })

  it('goes to another one when nobody has coordinated its own for long, and forgets what it knew of that', () => {
    const { mesh, followers, leader, resets, warnings } = build()
    mesh.heard('a', followers)
    Object.assign(leader, { isPresent: false, silentMs: LOST_MS })
    assert.equal(mesh.mayMove(followers), true)
    mesh.heard('b', followers)
    assert.equal(mesh.meshId(), 'b')
    assert.deepEqual(resets, ['tracker', 'client'])
    assert.match(warnings[0] ?? '', /joins another one/)
  })

  it('says what is missing before anything can be decided', () => {
    const { mesh, followers } = build()
    assert.match(mesh.problem(status({})) ?? '', /has not been founded/)
    mesh.heard('a', followers)
    assert.match(mesh.problem(status({ quorum: false })) ?? '', /majority/)
    assert.match(mesh.problem(status({ leader: undefined })) ?? '', /no coordinator is known/)
    assert.equal(mesh.problem(status({})), undefined)
    assert.equal(mesh.notReady(status({ quorum: false })), undefined)
  })
})

describe('a node with a store', () => {
  const founding = (over: Partial<Founding>): Founding => ({
    meshId: () => 'own',
    founded: () => ({ meshId: 'own', members: ['me.s', 'one.s', 'two.s'] }),
    recovered: () => undefined,
    status: () => assert.fail('not asked'),
    adopt: () => assert.fail('not asked'),
    onMeshId: () => assert.fail('not asked'),
    counts: () => assert.fail('not asked'),
    stop: async () => {},
    ...over,
  })
  const raft = (over: Partial<RaftMember> = {}) => {
    const starts: unknown[] = []
    const member: RaftMember = {
      storageId: 's',
      hasContents: false,
      start: async (...given) => void starts.push(given),
      current: () => undefined,
      problem: () => undefined,
      unable: () => undefined,
      loss: () => undefined,
      counts: () => assert.fail('not asked'),
      stop: async () => {},
      ...over,
    }
    return { member, starts }
  }

  it('takes part as a founder that votes once its mesh is founded', () => {
    const { mesh, followers, founded } = build()
    const { member, starts } = raft()
    mesh.joinGroup(member, 'me.s')
    let later: ((id: string) => void) | undefined
    let id: string | undefined
    mesh.follow(
      founding({
        meshId: () => id,
        onMeshId(fn) {
          later = fn
          return () => {}
        },
      }),
      followers,
    )
    assert.deepEqual([founded, starts], [[], []])
    id = 'own'
    later?.('own')
    assert.equal(mesh.meshId(), 'own')
    assert.deepEqual(founded, ['own'])
    assert.deepEqual(starts, [['me.s', { meshId: 'own', founders: ['me.s', 'one.s', 'two.s'] }]])
  })

  it('learns first in a mesh that others founded', () => {
    const { mesh, followers } = build()
    const { member, starts } = raft()
    mesh.joinGroup(member, 'me.s')
    mesh.follow(founding({ founded: () => undefined }), followers)
    assert.deepEqual(starts, [['me.s', { meshId: 'own', founders: undefined }]])
  })

  it('leaves its mesh for no other one; founding decides what becomes of one that it hears of', () => {
    const { mesh, followers, leader } = build()
    const adopted: string[] = []
    const adopt: Founding['adopt'] = async (id) => {
      adopted.push(id)
      return 'conflict'
    }
    mesh.follow(founding({ adopt }), followers)
    Object.assign(leader, { isPresent: false, silentMs: LOST_MS })
    mesh.heard('other', followers)
    assert.deepEqual([mesh.mayMove(followers), mesh.meshId(), adopted], [false, 'own', ['other']])
  })

  it('is not ready while its log is lost and nobody coordinates', () => {
    const { mesh, followers } = build()
    mesh.joinGroup(raft({ loss: () => 'the log is lost' }).member, 'me.s')
    mesh.follow(founding({}), followers)
    assert.match(mesh.notReady(status({ quorum: false })) ?? '', /the log is lost; no coordinator answers/)
    assert.equal(mesh.notReady(status({})), undefined)
    assert.equal(mesh.problem(status({})), 'the log is lost')
  })
})
