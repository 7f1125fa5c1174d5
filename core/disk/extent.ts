/** A range of a virtual disk and where its bytes come from. */
export interface Extent {
  offset: number;
  length: number;
  /**
   * 'data': in this image, at `host` of its data file; 'compressed': in this image, packed; 'zero': reads as zeros; 'backing': in the image
   * below.
   */
  kind: 'data' | 'compressed' | 'zero' | 'backing';
  host?: number;
}
