/**
 * Programs of the simulated nodes that send: every guarantee, conversations, several destinations, capabilities, changes
 * that send. One message of a conversation is sent after another, sometimes without waiting for the one before.
 *
 * State: places in the conversations, and which of these wait for a send.
 */

import type { PortNetwork } from '../../../node/testing/virtual/port-network.ts'
import type { Messages, SendOptions } from '../../../protocols/delivery/api.ts'
import type { Guarantee } from '../../../protocols/delivery/durable-message.ts'
import { ACCOUNTS, ANYBODY, accountKey, countOf, Fired, Transfer, Work } from './messages.ts'
import type { Nodes, SimNode } from './node.ts'

const CONVERSATIONS = 3

export interface Clients {
  /** Lets programs send; called now and then. */
  act(): void
}

export const createClients = ({ time, random }: PortNetwork, nodes: Nodes): Clients => {
  const { ledger } = nodes
  const places = new Map<string, number>()
  const busy = new Set<string>()
  const chance = (share: number): boolean => random() < share
  const pick = <T>(list: readonly T[]): T | undefined => list[Math.floor(random() * list.length)]
  /** Now and then itself, too. */
  const others = (node: SimNode): SimNode[] => nodes.all.filter((other) => other !== node || chance(0.1))

  const optionsOf = (guarantee: Guarantee): SendOptions => ({
    guarantee,
    priority: pick(['low', 'normal', 'normal', 'high', 'critical'] as const) ?? 'normal',
    ...(chance(0.1) && { ttlMs: 50 + Math.floor(random() * 3_000) }),
    ...(chance(0.1) && { retry: { maxRetries: 0 } }),
  })

  const sendWork = async (node: SimNode, messages: Messages): Promise<void> => {
    const guarantee: Guarantee = chance(0.7) ? 'EXACTLY_ONCE' : 'AT_LEAST_ONCE'
    const isForAnybody = chance(0.3)
    const to = isForAnybody ? [] : others(node).filter(() => chance(0.15))
    const first = pick(others(node))
    if (!isForAnybody && to.length === 0 && first !== undefined) to.push(first)
    const kind = isForAnybody ? ANYBODY : 'c'
    const conversation = chance(0.4) ? undefined : `${kind}${Math.floor(random() * CONVERSATIONS)}`
    const whom = isForAnybody ? ['anybody'] : to.map(({ name }) => name)
    const lines = conversation === undefined ? [] : whom.map((name) => `${node.name}>${name}/${conversation}`)
    const mayRebind = isForAnybody && chance(0.4)
    if (lines.some((line) => busy.has(line)) && chance(0.6)) return
    const place = conversation === undefined ? 0 : (places.get(`${node.name}/${conversation}`) ?? 0) + 1
    if (conversation !== undefined) places.set(`${node.name}/${conversation}`, place)
    const keeps = chance(0.8)
    const names = isForAnybody ? undefined : to.map(({ name }) => name)
    const sent = ledger.begin({ from: node.name, to: names, guarantee, keeps, mayRebind, amount: 0, of: undefined })
    const data = {
      id: sent.id,
      from: node.name,
      place,
      keeps,
      answers: keeps && chance(0.3),
      acts: chance(0.15),
      filling: 'x'.repeat(chance(0.1) ? Math.floor(random() * 3_000) : 10),
      ...(conversation !== undefined && { conversation }),
    }
    for (const line of lines) busy.add(line)
    try {
      const receipt = await messages.send(
        isForAnybody ? { capability: Work.type } : to.map(({ peer }) => peer),
        Work,
        data,
        {
          ...optionsOf(guarantee),
          ...(conversation !== undefined && { conversationId: conversation }),
          ...(mayRebind && { rebind: 'allowed' as const }),
        },
      )
      ledger.accepted(sent)
      receipt.delivered().then(
        () => ledger.delivered(sent),
        // It is a dead letter, which the audit looks for.
        () => {},
      )
    } catch {
      ledger.refused(sent)
    } finally {
      for (const line of lines) busy.delete(line)
    }
  }

  const transfer = async (node: SimNode, messages: Messages): Promise<void> => {
    const to = pick(others(node))
    if (to === undefined) return
    const amount = 1 + Math.floor(random() * 100)
    const [mine, theirs] = [Math.floor(random() * ACCOUNTS), Math.floor(random() * ACCOUNTS)]
    const begin = () =>
      ledger.begin({ from: node.name, to: [to.name], guarantee: 'EXACTLY_ONCE', keeps: true, amount, of: undefined })
    let sent = begin()
    let runs = 0
    try {
      await messages.change(async (tx) => {
        if (runs > 0) sent = begin()
        runs += 1
        const key = accountKey(mine)
        const balance = countOf(await tx.get(key))
        tx.put(key, balance - amount)
        if (chance(0.3)) await new Promise<void>((resolve) => time.after(random() * 5, resolve))
        await tx.send(to.peer, Transfer, { id: sent.id, account: theirs, amount }, optionsOf('EXACTLY_ONCE'))
        if (chance(0.05)) throw new Error('this change is not to count')
      })
      ledger.accepted(sent)
    } catch {
      ledger.refused(sent)
    }
  }

  const fire = async (node: SimNode, messages: Messages): Promise<void> => {
    const to = pick(others(node))
    if (to === undefined) return
    const guarantee = 'AT_MOST_ONCE'
    const sent = ledger.begin({ from: node.name, to: [to.name], guarantee, keeps: true, amount: 0, of: undefined })
    try {
      await messages.send(to.peer, Fired, { id: sent.id }, { guarantee })
      ledger.accepted(sent)
    } catch {
      ledger.refused(sent)
    }
  }

  return {
    act() {
      const chosen = pick(nodes.up())
      if (chosen === undefined) return
      const { node, messages } = chosen
      const most = chance(0.05) ? 25 : 1
      for (let i = 0; i < most; i += 1) {
        const kind = random()
        if (kind < 0.75) void sendWork(node, messages)
        else if (kind < 0.93) void transfer(node, messages)
        else void fire(node, messages)
      }
    },
  }
}
