/** What befalls members and the lines between them. */
import { compact, crash, DEATHS } from './actor.ts'
import { addActor, arrive, packetText, ScriptError, type Stage, settle, startActor, takeFrom } from './stage.ts'
import { actors, count, need, none, oneActor, packets, UsageOfVerb, type Verb } from './verb.ts'

const cutOne = (stage: Stage, from: string, to: string): void => {
  if (from !== to) stage.cuts.add(`${from}>${to}`)
}

export const FATE: Readonly<Record<string, Verb>> = {
  start: {
    usage: 'start 3 [max-entries 1]: founders m0, m1, m2; entries in one message',
    run(stage, [size, name, most, ...rest]) {
      none(rest)
      if (stage.actors.size > 0) throw new ScriptError('it has started')
      if (name !== undefined && name !== 'max-entries') throw new UsageOfVerb(`what is ${name}?`)
      if (name !== undefined) stage.settings = { maxEntries: count(most) }
      const ids = Array.from({ length: count(size) }, (_, i) => `m${i}`)
      for (const id of ids) addActor(stage, id, ids)
      return [...stage.actors.values()].flatMap((actor) => startActor(stage, actor))
    },
  },
  join: {
    usage: 'join m3: one that knows nothing, and waits to be added',
    run(stage, [id, ...rest]) {
      none(rest)
      addActor(stage, need(id), [])
      return startActor(stage, oneActor(stage, id))
    },
  },
  crash: {
    usage: `crash m0 [${DEATHS.join('|')}]: now, or in its next step that writes something`,
    run(stage, [id, at, ...rest]) {
      none(rest)
      const actor = oneActor(stage, id)
      const death = DEATHS.find((known) => known === at)
      if (at !== undefined && death === undefined) throw new UsageOfVerb(`${at}?`)
      if (actor.raft === undefined) throw new ScriptError(`${id} is down`)
      if (death === undefined) crash(actor)
      else actor.diesAt = death
      return []
    },
  },
  restart: {
    usage: 'restart m0: with the disk that it has',
    run(stage, [id, ...rest]) {
      none(rest)
      const actor = oneActor(stage, id)
      if (actor.raft !== undefined) crash(actor)
      return startActor(stage, actor)
    },
  },
  'lose-disk': {
    usage: 'lose-disk m1: it is gone for good; what comes back is somebody else',
    run(stage, [id, ...rest]) {
      none(rest)
      stage.actors.delete(oneActor(stage, id).id)
      return []
    },
  },
  freeze: {
    usage: 'freeze m0: it stands still, and messages for it wait',
    run(stage, [id, ...rest]) {
      none(rest)
      oneActor(stage, id).isFrozen = true
      return []
    },
  },
  thaw: {
    usage: 'thaw m0',
    run(stage, [id, ...rest]) {
      none(rest)
      oneActor(stage, id).isFrozen = false
      return []
    },
  },
  snapshot: {
    usage: 'snapshot m0: of all that it has applied',
    run(stage, [id, ...rest]) {
      none(rest)
      if (!compact(oneActor(stage, id))) throw new ScriptError(`${id} has nothing new to put into a snapshot`)
      return []
    },
  },
  cut: {
    usage: 'cut m0 m1 [one-way], cut m0,m1 m2,m3,m4, cut m0 all: nothing passes any more',
    run(stage, [one, other, way, ...rest]) {
      none(rest)
      if (way !== undefined && way !== 'one-way') throw new UsageOfVerb(`${way}?`)
      for (const { id: from } of actors(stage, one))
        for (const { id: to } of actors(stage, other)) {
          cutOne(stage, from, to)
          if (way === undefined) cutOne(stage, to, from)
        }
      return []
    },
  },
  heal: {
    usage: 'heal: all lines',
    run(stage, words) {
      none(words)
      stage.cuts.clear()
      return []
    },
  },
  deliver: {
    usage: 'deliver [FROM [TO]] [TYPE]: what is on its way now, and not what it brings about',
    run: (stage, words) =>
      takeFrom(stage, packets(stage, words)).flatMap((packet) => {
        const text = packetText(stage, packet)
        return [text, ...arrive(stage, packet)]
      }),
  },
  settle: {
    usage: 'settle: messages arrive until nothing is on its way',
    run(stage, words) {
      none(words)
      return settle(stage)
    },
  },
  drop: {
    usage: 'drop [FROM [TO]] [TYPE]: what is on its way is lost',
    run: (stage, words) => takeFrom(stage, packets(stage, words)).map((packet) => `lost: ${packetText(stage, packet)}`),
  },
  hold: {
    usage: 'hold [FROM [TO]] [TYPE]: what is on its way is late, until it is released',
    run(stage, words) {
      const late = takeFrom(stage, packets(stage, words))
      stage.held.push(...late)
      return late.map((packet) => `late: ${packetText(stage, packet)}`)
    },
  },
  release: {
    usage: 'release: what is late is on its way again',
    run(stage, words) {
      none(words)
      stage.wires.push(...stage.held.splice(0))
      return []
    },
  },
  double: {
    usage: 'double [FROM [TO]] [TYPE]: what is on its way arrives twice',
    run(stage, words) {
      stage.wires.push(...stage.wires.filter(packets(stage, words)))
      return []
    },
  },
}
