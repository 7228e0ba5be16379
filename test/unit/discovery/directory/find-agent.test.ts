import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkTarget, findAgent, isPeerId, peerIdOf } from '../../../../discovery/directory/find-agent.ts'
import type { Agent } from '../../../../discovery/directory/tables/agent-change.ts'
import { isParleyError } from '../../../../protocols/errors.ts'

const ID = `12D3KooW${'a'.repeat(44)}`
const OTHER = `12D3KooW${'b'.repeat(44)}`

const agent = (peer: string, name: string, about: Partial<Agent> = {}): Agent => ({
  peer,
  name,
  state: 'alive',
  connected: true,
  self: false,
  // Nothing here reads it.
  record: {} as Agent['record'],
  ...about,
})

const failure = (run: () => unknown): unknown => {
  try {
    return assert.fail(String(run()))
  } catch (error) {
    return error
  }
}

test('a peer id is told from a name by its form', () => {
  for (const id of [ID, `16Uiu2HA${'m'.repeat(45)}`, `Qm${'Z'.repeat(44)}`]) assert.ok(isPeerId(id), id)
  for (const text of ['', 'bob', `${ID}a`, ID.slice(1), ID.replace('a', '0'), ID.replace('a', 'l'), ` ${ID}`])
    assert.ok(!isPeerId(text), text)
})

test('what can be neither a peer id nor a name is refused, and an address with what to take of it', () => {
  for (const given of ['bob', 'a', 'agent-1.x_y', 'a'.repeat(64), ID]) assert.equal(checkTarget(given, 'to()'), given)
  for (const given of [undefined, null, '', 'a b', '-a', 'a'.repeat(65), 5, {}, ['bob']]) {
    const error = failure(() => checkTarget(given, 'to()'))
    assert.ok(isParleyError(error, 'MSG001') && error.message.startsWith('to() takes a peer id'), String(given))
  }
  const error = failure(() => checkTarget(`/ip4/127.0.0.1/tcp/1/p2p/${ID}`, 'to()'))
  assert.ok(isParleyError(error) && /behind \/p2p\//.test(error.hint ?? ''))
})

test('a name stands for who has it, and a peer id for itself, also where nobody knows it', () => {
  const agents = () => [agent(ID, 'bob'), agent(OTHER, 'eve')]
  assert.equal(peerIdOf(agents, 'bob'), ID)
  assert.equal(
    peerIdOf(() => [], ID),
    ID,
  )
  const unknown = failure(() => peerIdOf(agents, 'bobb'))
  assert.ok(isParleyError(unknown, 'COM002'))
  assert.deepEqual(unknown.details, { sent: false, reason: 'unknown-name' })
  assert.match(unknown.hint ?? '', /did you mean bob\?; parley peers/)
  const nobody = failure(() => peerIdOf(() => [], 'bob'))
  assert.ok(isParleyError(nobody) && /no other agent is known/.test(nobody.hint ?? ''))
})

test('a name that several have is refused with their peer ids, unless one of them is well and the others are not', () => {
  const twins = [agent(ID, 'bob'), agent(OTHER, 'bob')]
  const error = failure(() => peerIdOf(() => twins, 'bob'))
  assert.ok(isParleyError(error, 'STA003'))
  assert.deepEqual(error.details, { reason: 'ambiguous', peers: [ID, OTHER] })
  assert.equal(
    peerIdOf(() => [agent(ID, 'bob', { state: 'suspect' }), agent(OTHER, 'bob')], 'bob'),
    OTHER,
  )
})

test('who calls itself by the peer id of another one gets nothing that is meant for that one', () => {
  const liar = agent(OTHER, ID)
  assert.equal(findAgent([liar], ID), undefined)
  assert.equal(
    peerIdOf(() => [liar], ID),
    ID,
  )
})
