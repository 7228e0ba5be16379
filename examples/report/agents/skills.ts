/**
 * The skills as offers: each answer carries the agent's name and the time that it worked.
 */
import { type AgentPort, type Offer, offer } from '../../../node/index.ts'
import { type DocumentText, keywordsProtocol, linksProtocol, outlineProtocol, summaryProtocol } from '../contracts.ts'
import type { Skill } from '../results.ts'
import { keywords } from '../skills/keywords.ts'
import { links } from '../skills/links.ts'
import { outline } from '../skills/outline.ts'
import { summary } from '../skills/summary.ts'

export const skillOffers = (agent: AgentPort, skills: readonly Skill[]): Offer[] => {
  const extract =
    <T>(work: (document: DocumentText) => T) =>
    (document: DocumentText) => {
      const startedAt = performance.now()
      const result = work(document)
      return { by: agent.self.name, ms: performance.now() - startedAt, result }
    }
  const offers: Record<Skill, () => Offer> = {
    outline: () => offer(outlineProtocol, { extract: extract(outline) }),
    keywords: () => offer(keywordsProtocol, { extract: extract(keywords) }),
    summary: () => offer(summaryProtocol, { extract: extract((document) => summary(document)) }),
    links: () => offer(linksProtocol, { extract: extract(links) }),
  }
  return skills.map((skill) => offers[skill]())
}
