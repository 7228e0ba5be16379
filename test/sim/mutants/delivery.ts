/** Deliberate bugs of durable messages, found by nodes under faults. */
import type { Mutant } from './mutant.ts'

const DELIVERY = 'protocols/delivery'

const FOUND_BY_NODES: readonly Mutant[] = [
  {
    bug: 'a message is acknowledged before what it did is durable',
    file: `${DELIVERY}/receive/receiver.ts`,
    find: '    try {\n      await durable\n    } catch (error) {',
    replace: '    durable?.catch(() => {})\n    try {\n    } catch (error) {',
  },
  {
    bug: 'the note that a message was processed is not in the commit of what it did',
    file: `${DELIVERY}/receive/receiver.ts`,
    find: 'store.commit([...commit.changes, sender.change()])',
    replace: 'store.commit([...commit.changes])',
  },
  {
    bug: 'what a handler did is put off instead of committed',
    file: `${DELIVERY}/receive/receiver.ts`,
    find: 'durable = store.commit([...commit.changes, sender.change()]).then(commit.launch)',
    replace: 'store.later([...commit.changes, sender.change()])\n      commit.launch()',
  },
  {
    bug: 'answers go out before what they answer is durable',
    file: `${DELIVERY}/receive/receiver.ts`,
    find: 'durable = store.commit([...commit.changes, sender.change()]).then(commit.launch)',
    replace: 'durable = store.commit([...commit.changes, sender.change()])\n      commit.launch()',
  },
  {
    bug: 'a greeting tells of what is not durable yet',
    file: `${DELIVERY}/receive/receiver.ts`,
    find: '    await store.commit([sender.change()])\n',
    replace: '    store.later([sender.change()])\n',
  },
  {
    bug: 'what was processed of the former outbox is forgotten before its sender has used it',
    file: `${DELIVERY}/receive/receiver.ts`,
    find: '    const before = sender.former\n',
    replace: '    const before = sender.former\n    sender.former = undefined\n',
  },
  {
    bug: 'the session of messages is not checked',
    file: `${DELIVERY}/receive/receiver.ts`,
    find: 'if (sender === undefined || sender.session !== session) {',
    replace: 'if (sender === undefined) {',
  },
  {
    bug: 'the lowest number leaves out those that are not durable yet',
    file: `${DELIVERY}/send/peer/send-lane.ts`,
    find: 'sent ?? queued ?? reserved ?? this.next',
    replace: 'sent ?? queued ?? this.next',
  },
  {
    bug: 'the window is not kept',
    file: `${DELIVERY}/send/peer/window-room.ts`,
    find: 'return inWindow < limit && (',
    replace: 'return limit > 0 && (',
  },
  {
    bug: 'nobody is told that a dead letter does not come any more',
    file: `${DELIVERY}/send/peer/peer-sender.ts`,
    find: '      this.#window.skip(entry)\n',
    replace: '',
  },
  {
    bug: 'a peer that lost power waits for what it acknowledged before',
    file: `${DELIVERY}/send/peer/send-window.ts`,
    find: '    if (others.length === 0) return others\n',
    replace: '    if (others.length >= 0) return []\n',
  },
  {
    bug: 'what was kept since the outbox was set back counts as delivered by its former process',
    file: `${DELIVERY}/send/peer/stale-outbox.ts`,
    find: 'position !== undefined && sequence < (frontier?.get(lane) ?? 0) && isDone',
    replace: 'position !== undefined && frontier !== undefined && isDone',
  },
  {
    bug: 'a conversation goes on after a message that failed',
    file: `${DELIVERY}/receive/receive-window.ts`,
    find: "    held.stage = 'failed'\n",
    replace: "    held.stage = 'failed'\n    this.#release(this.#laneAt(held.lane), held)\n",
  },
  {
    bug: 'messages of a conversation run side by side',
    file: `${DELIVERY}/receive/receive-window.ts`,
    find: '    } else line.push(held)\n',
    replace: '    } else this.#begin(held)\n',
  },
  {
    bug: 'the lowest number that is not acknowledged counts as processed',
    file: `${DELIVERY}/ack-ranges.ts`,
    find: 'const below = base - 1\n',
    replace: 'const below = base\n',
  },
  {
    bug: 'messages that must count once are moved without being asked for it',
    file: `${DELIVERY}/rebind/rebind-plan.ts`,
    find: 'entry.bound?.isExactlyOnce === true && (!entry.bound.mayRebind || isUnknown(entry))',
    replace: 'entry.bound?.isExactlyOnce === true && isUnknown(entry)',
  },
  {
    bug: 'a conversation is moved from its last message to its first one',
    file: `${DELIVERY}/rebind/rebind-plan.ts`,
    find: 'entries.filter((entry) => !dies(entry))',
    replace: 'entries.filter((entry) => !dies(entry)).reverse()',
  },
  {
    bug: 'a message overtakes those of its conversation that nobody took yet',
    file: `${DELIVERY}/send/message-staging.ts`,
    find: '    if (unrouted.holds(of)) return []\n',
    replace: '',
  },
  {
    bug: 'a transaction commits although what it read was changed',
    file: `${DELIVERY}/receive/handler-runner.ts`,
    find: '        if (sending.isStale()) {\n',
    replace: '        if (sending.isStale() && sending.isEmpty()) {\n',
  },
  {
    bug: 'the result of an outside effect is put off instead of committed',
    file: `${DELIVERY}/receive/effect-results.ts`,
    find: '    await store.commit([{ key, value: write(name, { at, result }) }])\n',
    replace: '    store.later([{ key, value: write(name, { at, result }) }])\n',
  },
]

export const DELIVERY_MUTANTS: readonly Mutant[] = FOUND_BY_NODES.map((mutant) => ({ ...mutant, scenario: 'delivery' }))
