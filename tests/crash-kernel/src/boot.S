/* [1] From QEMU's PVH loader to Rust: page tables, 64-bit mode.
 *
 * On entry: what the x86/HVM direct boot ABI promises (Xen: docs/misc/pvh.pandoc): 32-bit protected
 *   mode, flat segments, no paging, no interrupts; EBX = physical address of the hvm_start_info.
 *   The image is KERNEL_MAP below the addresses at which it is linked.
 * On exit: in story::tell, never to return; RDI = that address; own GDT, stack and page tables.
 *   The tables map the first 4 GiB at DIRECT_MAP as data, and the image where it is linked.
 */
    .section .note.pvh, "a", @note
    .balign 4
    .long   2f - 1f, 4f - 3f, {PHYS32_ENTRY}
1:  .asciz  "Xen"
2:  .balign 4
    /* QEMU reads 64 bits (read_pvh_start_addr, hw/i386/x86-common.c). */
3:  .quad   boot_start - {KERNEL_MAP}
4:

    .section .text.boot, "ax", @progbits
    .global boot_start
    .code32
boot_start:
    cld
    /* The image's pages: what follows the text cannot be executed, what precedes the data cannot be
     * written. */
    movl    $_text - {KERNEL_MAP}, %eax
    movl    $image_level1 - {KERNEL_MAP}, %edi
1:
    leal    {PRESENT}(%eax), %edx
    xorl    %ecx, %ecx
    cmpl    $_rodata - {KERNEL_MAP}, %eax
    jb      2f
    movl    ${NO_EXECUTE} >> 32, %ecx
    cmpl    $_data - {KERNEL_MAP}, %eax
    jb      2f
    orl     ${WRITABLE}, %edx
2:
    movl    %edx, (%edi)
    movl    %ecx, 4(%edi)
    addl    $8, %edi
    addl    $4096, %eax
    cmpl    $_end - {KERNEL_MAP}, %eax
    jb      1b

    movl    ${CR4}, %eax
    movl    %eax, %cr4
    movl    $level4 - {KERNEL_MAP}, %eax
    movl    %eax, %cr3
    movl    ${EFER}, %ecx
    movl    ${EFER_VALUE}, %eax
    xorl    %edx, %edx
    wrmsr
    movl    ${CR0}, %eax
    movl    %eax, %cr0
    lgdtl   low_gdtr - {KERNEL_MAP}
    ljmpl   $8, $1f - {KERNEL_MAP}

    .code64
1:
    movq    $1f, %rax
    jmpq    *%rax
1:
    lgdt    gdtr(%rip)
    movl    $16, %eax
    movl    %eax, %ds
    movl    %eax, %es
    movl    %eax, %ss
    movl    %eax, %fs
    movl    %eax, %gs
    /* From here on nothing is mapped one to one. */
    movq    $0, level4(%rip)
    movq    $0, image_level3(%rip)
    movq    %cr3, %rax
    movq    %rax, %cr3

    movl    %ebx, %edi
    leaq    boot_stack_top(%rip), %rsp
    xorl    %ebp, %ebp
    pushq   $0                          /* the return address that a called function has there */
    jmp     {TELL}

    .section .rodata.boot, "a", @progbits
    .balign 8
gdt:
    .quad   0
    .quad   0x00af9b000000ffff          /* 0x08: 64-bit code */
    .quad   0x00cf93000000ffff          /* 0x10: data, flat */
gdt_end:
low_gdtr:
    .word   gdt_end - gdt - 1
    .long   gdt - {KERNEL_MAP}
gdtr:
    .word   gdt_end - gdt - 1
    .quad   gdt

    .section .boot_stack, "aw", @nobits
    .balign 4096
    .skip   {STACK_SIZE}
boot_stack_top:

    .section .data.boot, "aw", @progbits
    .balign 4096
level4:
    .quad   image_level3 - {KERNEL_MAP} + {TABLE}   /* one to one */
    .skip   ({DIRECT_SLOT} - 1) * 8
    .quad   direct_level3 - {KERNEL_MAP} + {TABLE}
    .skip   (510 - {DIRECT_SLOT}) * 8
    .quad   image_level3 - {KERNEL_MAP} + {TABLE}
image_level3:
    .quad   image_level2 - {KERNEL_MAP} + {TABLE}   /* one to one */
    .skip   509 * 8
    .quad   image_level2 - {KERNEL_MAP} + {TABLE}
    .skip   8
image_level2:
    .skip   {IMAGE_SLOT} * 8
    .quad   image_level1 - {KERNEL_MAP} + {TABLE}
    .skip   (511 - {IMAGE_SLOT}) * 8
image_level1:
    .skip   4096
direct_level3:
    .set    table, 0
    .rept   {DIRECT_TABLES}
    .quad   direct_level2 + table - {KERNEL_MAP} + {TABLE}
    .set    table, table + 4096
    .endr
    .skip   4096 - {DIRECT_TABLES} * 8
direct_level2:
    .set    page, 0
    .rept   {DIRECT_TABLES} * 512
    .quad   page + {LARGE_PAGE}
    .set    page, page + (2 << 20)
    .endr
    .text
