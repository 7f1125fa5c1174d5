export interface XmlElement {
  name: string;
  attributes: Record<string, string>;
  children: XmlElement[];
  text: string;
}
export function parseXml(xml: string): XmlElement;
export function systemsTable(documents: XmlElement[]): (Record<string, unknown> & { id: string })[];
