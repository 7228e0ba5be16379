/** What is done to each store on the virtual disk, as scenarios. Keeps no state. */
import type { Scenario } from '../scenarios.ts'
import { cutPower } from './cuts.ts'
import { flipBytes } from './flips.ts'
import { KEPT_STORES } from './kept-stores.ts'

const nameOf = (what: string, store: string): string => `${what}-${store.replaceAll(' ', '-')}`

export const DISK_SCENARIOS: readonly Scenario[] = KEPT_STORES.flatMap((store) => [
  {
    name: nameOf('cuts', store.name),
    about: `the power goes at each operation of the ${store.name}`,
    play: ({ tears, seed }) => cutPower(store, tears, seed),
  },
  {
    name: nameOf('flips', store.name),
    about: `bytes of the ${store.name} are changed`,
    play: ({ flips, seed }) => flipBytes(store, Math.ceil(flips / KEPT_STORES.length), seed),
  },
])
